"""The folder for NIM: files of docker, Slurm and Kubernetes, and a check of the model's bytes before each start."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from tapeout.config.export import Deploy
from tapeout.data.io.jsonl import write_json
from tapeout.deploy.certificate import CertificateRefused, digests
from tapeout.deploy.nim.folder import write_nim
from tapeout.deploy.token_ids import load_tokenizer
from tests.deploy.exported import Exported, made
from tests.deploy.material import MODEL, conversations, questions

pytestmark = pytest.mark.environment("serve")

IMAGE = f"nvcr.io/nim/nvidia/llm:2.1@sha256:{'0' * 64}"
COMPARED = ("token_ids", "logits", "answers")
RECORD = '#!/bin/bash\nprintf "%s\\n" "$@" > "$RECORD"\n'
"""Stands for apptainer, which is not installed here: writes its arguments to a file."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("model")
    (folder / "tokenizer.model").write_bytes(MODEL)
    model = made(folder, "aligner", questions())
    write_json(folder / "certificate.json", {"files": digests(model.folder), **dict.fromkeys(COMPARED, 1)})
    return model


def written(exported: Exported, output: Path, **options: object) -> Path:
    write_nim(output, exported.folder, exported.folder.parent / "certificate.json", Deploy.model_validate(options))
    return output


def test_the_files_pin_the_model_and_agree_with_each_other(exported: Exported, tmp_path: Path) -> None:
    folder = written(exported, tmp_path / "nim", name="rtl", gpus=2, image=IMAGE)
    assert digests(folder) == digests(written(exported, tmp_path / "again", name="rtl", gpus=2, image=IMAGE))
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums == digests(exported.folder)
    compose = yaml.safe_load((folder / "nim2/compose.yaml").read_text())
    assert {service["image"] for service in compose["services"].values()} == {IMAGE}
    assert compose["services"]["nim"]["ports"] == ["127.0.0.1:8000:8000"]
    config, deployment, service = yaml.safe_load_all((folder / "nim2/kubernetes.yaml").read_text())
    for name in ("SHA256SUMS", "check.sh"):
        assert config["data"][name].strip() == (folder / name).read_text().strip()
    pod = deployment["spec"]["template"]["spec"]
    variables = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert variables["NIM_MAX_MODEL_LEN"] == "420" and "--tensor-parallel-size 2" in variables["NIM_PASSTHROUGH_ARGS"]
    assert {container["image"] for container in pod["containers"] + pod["initContainers"]} == {IMAGE}
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    digest = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert f"NIM_CUSTOM_MODEL_NAME=rtl-{digest[:12]}\n" in (folder / "nim1/nim.env").read_text()
    readme = (folder / "README.md").read_text()
    messages = json.JSONDecoder().raw_decode(readme[readme.index('[{"role"') :])[0]
    ids = load_tokenizer(exported.folder).apply_chat_template(messages, return_dict=False)
    assert f"must be {len(ids)}." in readme


def start(
    folder: Path, model: Path, image: str, record: Path, version: str = "nim2"
) -> subprocess.CompletedProcess[str]:
    """Run the script for Slurm in the folder, as sbatch does, with a recorder in place of apptainer."""
    programs = record.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "apptainer").write_text(RECORD)
    (programs / "apptainer").chmod(0o755)
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(record.parent), "RECORD": str(record)}
    return subprocess.run(
        ["bash", f"{version}/slurm.sh"],
        cwd=folder,
        env={**variables, "MODEL": str(model), "NIM_IMAGE": image},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_script_for_slurm_starts_the_certified_model_only(exported: Exported, tmp_path: Path) -> None:
    folder, record = written(exported, tmp_path / "nim"), tmp_path / "arguments"
    assert start(folder, exported.folder, IMAGE, record).returncode == 0
    arguments = record.read_text().splitlines()
    assert arguments[-1] == f"docker://{IMAGE}" and f"{exported.folder}:/model:ro" in arguments
    settings = arguments[arguments.index("--env-file") + 1]
    shown = subprocess.run(
        ["bash", "-c", f"set -a; . {settings}; printenv NIM_PASSTHROUGH_ARGS"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.stdout.startswith("--dtype float32 --tensor-parallel-size 1")
    record.unlink()
    tagged = start(folder, exported.folder, "nvcr.io/nim/nvidia/llm:2.1", record)
    assert tagged.returncode == 1 and "has no digest" in tagged.stderr
    changed = tmp_path / "changed"
    shutil.copytree(exported.folder, changed)
    with (changed / "config.json").open("a") as file:
        file.write("\n")
    refused = start(folder, changed, IMAGE, record)
    assert refused.returncode != 0 and "config.json" in refused.stdout + refused.stderr
    shutil.copyfile(exported.folder / "config.json", changed / "config.json")
    (changed / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert "has other files than the certified model" in start(folder, changed, IMAGE, record).stderr
    (changed / "chat_template.jinja").unlink()
    (changed / "lost+found").mkdir()
    assert start(folder, changed, IMAGE, record).returncode == 0
    record.unlink()
    assert not record.exists(), "nothing was started"


def test_an_adapter_is_served_on_its_certified_base_model(exported: Exported, tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"weights")
    shutil.copytree(exported.folder, adapter)
    write_json(adapter / "adapter_config.json", {"r": 12})
    write_json(adapter / "parity.json", {"base": digests(base)})
    folder, record = tmp_path / "nim", tmp_path / "arguments"
    certificate = exported.folder.parent / "certificate.json"
    write_nim(folder, exported.folder, certificate, Deploy(name="rtl"), adapter)
    settings = (folder / "nim2-adapter/nim.env").read_text()
    assert "--max-lora-rank 16" in settings and "--tokenizer /loras/rtl" in settings, "the next rank that vLLM permits"
    assert digests(folder / "loras/rtl") == digests(adapter)
    mounts = yaml.safe_load((folder / "nim2-adapter/compose.yaml").read_text())["services"]["nim"]["volumes"]
    assert [mount["target"] for mount in mounts] == ["/model", "/loras", "/opt/nim/.cache"]
    assert start(folder, base, IMAGE, record, "nim2-adapter").returncode == 0
    assert f"{folder}/loras:/loras:ro" in record.read_text().splitlines()
    assert start(folder, exported.folder, IMAGE, record, "nim2-adapter").returncode != 0
    assert "nim2-adapter" in (folder / "README.md").read_text()


def test_the_readme_says_what_was_compared_and_how_answers_end(exported: Exported, tmp_path: Path) -> None:
    readme = (written(exported, tmp_path / "nim") / "README.md").read_text()
    assert "is in `certificate.json`: token ids, logits, answers." in readme and "stop" not in readme
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    model = made(tmp_path, "extra_id", conversations())
    content = {"files": digests(model.folder), "token_ids": {"fast": {}}, "logits": None, "answers": None}
    write_json(tmp_path / "certificate.json", content)
    readme = (written(model, tmp_path / "other") / "README.md").read_text()
    assert "is in `certificate.json`: token ids." in readme and '"stop": ["<extra_id_1>"]' in readme


def test_another_model_than_the_certified_one_is_refused(exported: Exported, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(exported.folder, changed)
    (changed / "NOTICE").write_text("other")
    certificate = exported.folder.parent / "certificate.json"
    with pytest.raises(CertificateRefused, match="NOTICE is not the certified file"):
        write_nim(tmp_path / "nim", changed, certificate, Deploy())
    with pytest.raises(ValidationError, match="has no digest"):
        Deploy(image="nvcr.io/nim/nvidia/llm:2.1")
    for image in ("a$(touch${IFS}x)b", "{a", "a'b", "*a"):
        with pytest.raises(ValidationError, match="has no digest"):
            Deploy(image=f"{image}@sha256:{'0' * 64}")
    for name in ("7b", "a_b", "-a", "A", "a b"):
        with pytest.raises(ValidationError):
            Deploy(name=name)
    with pytest.raises(CertificateRefused, match="does not divide the 4 heads"):
        write_nim(tmp_path / "nim", exported.folder, certificate, Deploy(gpus=3))


@pytest.mark.parametrize("name", ["null", "on", "e1"])
def test_names_stay_names(exported: Exported, tmp_path: Path, name: str) -> None:
    folder = written(exported, tmp_path / "nim", name=name)
    documents = yaml.safe_load_all((folder / "nim2/kubernetes.yaml").read_text())
    assert [document["metadata"]["name"] for document in documents] == [f"{name}-check", name, name]


def test_a_model_with_several_system_messages_gets_an_example_with_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    model = made(tmp_path, "aligner", conversations(), systems=("a", "b"))
    write_json(tmp_path / "certificate.json", {"files": digests(model.folder), **dict.fromkeys(COMPARED, 1)})
    readme = (written(model, tmp_path / "nim") / "README.md").read_text()
    assert '[{"role": "system", "content": "Be brief."}, {"role": "user"' in readme
