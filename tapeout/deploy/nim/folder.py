"""Write the folder ``deploy/nim``: what NVIDIA NIM needs to serve an exported model, besides the model itself.

The model is not copied: SHA256SUMS pins its files, and every start script compares them before the server starts.
NIM_* variables are those of NVIDIA's documentation of NIM LLM 2.x and 1.x; nothing of it can run without a GPU and
NVIDIA's registry.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tapeout.config.export import Deploy
from tapeout.deploy.certificate import CertificateRefused, digests
from tapeout.deploy.huggingface import PARITY
from tapeout.deploy.token_ids import load_tokenizer
from tapeout.models.adapter import CONFIG

CERTIFICATE, SUMS = "certificate.json", "SHA256SUMS"
QUESTIONS = ("What is a mux?", "2 + 2", "x")
"""Questions for the example; the first that the chat template renders is taken."""
EXECUTABLE = 0o755


def write_nim(output: Path, exported: Path, certificate: Path, job: Deploy, adapter: Path | None = None) -> None:
    """Write the folder.

    Args:
        output: new folder.
        exported: the exported model.
        certificate: its certificate.
        job: name of the model in requests, images and number of GPUs.
        adapter: exported adapter, if the model is a merged one.

    Raises:
        CertificateRefused: the certificate is about other files than the exported ones.
    """
    certified, found = orjson.loads(certificate.read_bytes())["files"], digests(exported)
    for name in sorted(certified.keys() | found.keys()):
        if certified.get(name) != found.get(name):
            raise CertificateRefused(f"{name} is not the certified file.", "Build export/certificate.json again.")
    config = orjson.loads((exported / "config.json").read_bytes())
    messages, tokens = example(exported)
    values: dict[str, Any] = {
        "context": config["max_position_embeddings"],
        "digest": found["model.safetensors" if "model.safetensors" in found else "config.json"][:12],
        "dtype": orjson.loads((exported / PARITY).read_bytes())["weights"],
        "gpus": job.gpus,
        "lora": adapter is not None,
        "messages": json.dumps(messages, ensure_ascii=False),
        "name": job.name,
        "sums": sums(found),
        "tokens": tokens,
    }
    output.mkdir()
    shutil.copyfile(certificate, output / CERTIFICATE)
    (output / SUMS).write_text(values["sums"], encoding="utf-8")
    if adapter is not None:
        values["rank"] = orjson.loads((adapter / CONFIG).read_bytes())["r"]
        shutil.copytree(adapter, output / "loras" / job.name)
        base = orjson.loads((adapter / PARITY).read_bytes())["base"]
        (output / f"BASE.{SUMS}").write_text(sums(base), encoding="utf-8")
    for folder, image in (("nim2", job.image), ("nim1", job.image_1x)):
        _write_version(output / folder, {**values, "folder": folder, "image": image})
    _render("README.md.j2", output / "README.md", {**values, "image2": job.image})
    for path in sorted(output.rglob("*")):
        path.chmod(EXECUTABLE if path.is_dir() or path.suffix == ".sh" else 0o644)


def example(exported: Path) -> tuple[list[dict[str, str]], int]:
    """Return messages that the chat template renders, and the number of tokens of their prompt.

    A model whose training had several system messages has no default one, so that the example needs one.
    """
    from jinja2 import TemplateError

    tokenizer = load_tokenizer(exported)
    for system in ([], [{"role": "system", "content": "Be brief."}]):
        for question in QUESTIONS:
            messages = [*system, {"role": "user", "content": question}]
            try:
                ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            except TemplateError:
                continue
            return messages, len(ids)
    raise CertificateRefused(
        "The chat template renders no simple question.", "Name a template for questions in instructions.prompt."
    )


def sums(found: dict[str, str]) -> str:
    """Return digests as ``sha256sum`` writes them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items()))


def _write_version(folder: Path, values: dict[str, Any]) -> None:
    """Write settings and start scripts for one version of NIM; the first one only has a model-specific container."""
    folder.mkdir()
    _render(f"{folder.name}.env.j2", folder / "nim.env", values)
    _render("compose.yaml.j2", folder / "compose.yaml", values)
    _render("slurm.sh.j2", folder / "slurm.sh", values)
    if folder.name == "nim2":
        lines = (folder / "nim.env").read_text(encoding="utf-8").splitlines()
        variables = {
            key: value.strip('"')
            for key, _, value in (line.partition("=") for line in lines if not line.startswith("#"))
        }
        _render("kubernetes.yaml.j2", folder / "kubernetes.yaml", {**values, "variables": variables})
        if values["lora"]:
            _render("lora.env.j2", folder / "lora.env", values)


def _render(template: str, output: Path, values: dict[str, Any]) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    output.write_text(environment.get_template(template).render(values), encoding="utf-8")
