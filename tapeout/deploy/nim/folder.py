"""Write the folder ``deploy/nim``: what NVIDIA NIM needs to serve an exported model, besides the model itself.

The model is not copied: SHA256SUMS pins its files, and every start script compares them before the server starts.
NIM_* variables are those of NVIDIA's documentation of NIM LLM 2.x and 1.x; nothing of it can run without a GPU and
NVIDIA's registry.
"""

import hashlib
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
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values of vLLM's option --max-lora-rank."""


def write_nim(output: Path, exported: Path, certificate: Path, job: Deploy, adapter: Path | None = None) -> None:
    """Write the folder.

    Args:
        output: new folder.
        exported: the exported model.
        certificate: its certificate.
        job: name of the model in requests, images and number of GPUs.
        adapter: exported adapter, if the model is a merged one.

    Raises:
        CertificateRefused: the certificate is about other files than the exported ones, or the model cannot be divided
            by the number of GPUs.
    """
    content, found = orjson.loads(certificate.read_bytes()), digests(exported)
    for name in sorted(content["files"].keys() | found.keys()):
        if content["files"].get(name) != found.get(name):
            raise CertificateRefused(f"{name} is not the certified file.", "Build export/certificate.json again.")
    config, generation = (
        orjson.loads((exported / name).read_bytes()) for name in ("config.json", "generation_config.json")
    )
    if config["num_attention_heads"] % job.gpus:
        raise CertificateRefused(
            f"deploy.gpus is {job.gpus}, which does not divide the {config['num_attention_heads']} heads of the model.",
            "Use a number of GPUs that does.",
        )
    messages, tokens = example(exported)
    stop = json.dumps(generation.get("stop_strings") or [], ensure_ascii=False)
    request = {
        "model": job.name,
        "messages": messages,
        "temperature": 0,
        **({"stop": json.loads(stop)} if stop != "[]" else {}),
    }
    values: dict[str, Any] = {
        "check": _rendered("check.sh.j2", {}),
        "compared": ", ".join(what for what in ("token_ids", "logits", "answers") if content[what]).replace("_", " "),
        "context": config["max_position_embeddings"],
        "digest": hashlib.sha256(sums(found).encode()).hexdigest()[:12],
        "dtype": orjson.loads((exported / PARITY).read_bytes())["weights"],
        "gpus": job.gpus,
        "lora": adapter is not None,
        "name": job.name,
        "request": json.dumps(request, ensure_ascii=False).replace("'", "'\\''"),
        "stop": None if stop == "[]" else stop,
        "sums": sums(found),
        "tokens": tokens,
    }
    output.mkdir()
    shutil.copyfile(certificate, output / CERTIFICATE)
    (output / SUMS).write_text(values["sums"], encoding="utf-8")
    (output / "check.sh").write_text(values["check"], encoding="utf-8")
    for folder, image in (("nim2", job.image), ("nim1", job.image_1x)):
        _write_version(output / folder, {**values, "image": image, "adapter": False, "sums_file": SUMS})
    if adapter is not None:
        rank = orjson.loads((adapter / CONFIG).read_bytes())["r"]
        values["rank"] = next((permitted for permitted in RANKS if permitted >= rank), rank)
        shutil.copytree(adapter, output / "loras" / job.name)
        base = orjson.loads((adapter / PARITY).read_bytes())["base"]
        (output / f"BASE.{SUMS}").write_text(sums(base), encoding="utf-8")
        more = {"image": job.image, "adapter": True, "sums_file": f"BASE.{SUMS}"}
        _write_version(output / "nim2-adapter", {**values, **more})
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
    """Write settings and start scripts for one version of NIM, or for the adapter; Kubernetes for NIM 2.x only."""
    folder.mkdir()
    values = {**values, "folder": folder.name}
    _render(f"{folder.name}.env.j2", folder / "nim.env", values)
    _render("compose.yaml.j2", folder / "compose.yaml", values)
    _render("slurm.sh.j2", folder / "slurm.sh", values)
    if folder.name == "nim2":
        lines = (folder / "nim.env").read_text(encoding="utf-8").splitlines()
        pairs = [line.split("=", 1) for line in lines if not line.startswith("#")]
        variables = {key: value.strip('"') for key, value in pairs}
        _render("kubernetes.yaml.j2", folder / "kubernetes.yaml", {**values, "variables": variables})


def _render(template: str, output: Path, values: dict[str, Any]) -> None:
    output.write_text(_rendered(template, values), encoding="utf-8")


def _rendered(template: str, values: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(template).render(values)
