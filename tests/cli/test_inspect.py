"""``tapeout inspect`` describes what somebody else made, says why it is refused, and runs nothing of it."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tapeout.cli.main import app
from tapeout.guard.errors import UnusableModel
from tests.guard import hostile
from tests.guard.test_hostile_files import CONTEXT, FLOATS, FOUR, huggingface, safetensors, with_reference


def inspected(path: Path) -> tuple[int, Any]:
    """Return exit code and findings; the tables say the same verdict."""
    result = CliRunner().invoke(app, ["inspect", str(path), "--json"])
    text = CliRunner().invoke(app, ["inspect", str(path)])
    assert result.exit_code == text.exit_code
    assert ("Accepted:" in text.stdout, "Not accepted, for" in text.stdout) == (
        not result.exit_code,
        bool(result.exit_code),
    )
    return result.exit_code, json.loads(result.stdout)


def packed(folder: Path, archive: Path) -> Path:
    """Pack a folder as nemo_toolkit does."""
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, ".")
    return archive


def checkpoint(folder: Path, context: Any = CONTEXT, metadata: bytes = b"", common: bytes = b"\x80\2N.") -> Path:
    """Write a NeMo-2 checkpoint whose files are what a test makes them."""
    for name in ("context", "weights"):
        (folder / name).mkdir(parents=True)
    (folder / "context/io.json").write_text(json.dumps(context))
    (folder / "weights/.metadata").write_bytes(metadata)
    (folder / "weights/common.pt").write_bytes(hostile.saved(common))
    return folder


def test_a_folder_of_hugging_face_is_described_and_accepted(tmp_path: Path) -> None:
    folder = huggingface(tmp_path / "model")
    settings = {"model_type": "llama", "hidden_size": 4, "transformers_version": "4"}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.model").write_bytes(b"x")
    code, found = inspected(folder)
    assert (code, found["accepted"], found["kind"]) == (0, True, "Hugging Face folder")
    assert found["architecture"] == {"model_type": "llama", "hidden_size": 4}
    assert found["types"] == {"float32": {"tensors": 1, "elements": 4, "bytes": 16}}
    assert found["tensors"] == {"a": {"type": "float32", "shape": [4]}}
    assert found["tokenizer"] == {"tokenizer.model": "SentencePiece"}
    assert found["members"]["tokenizer.model"] == 1 and found["problems"] == {}


def test_every_reason_against_a_folder_is_shown(tmp_path: Path) -> None:
    folder = huggingface(tmp_path / "model")
    (folder / "config.json").write_text('{"auto_map": {"AutoModel": "payload.Model"}}')
    (folder / "modeling_payload.py").write_text("raise SystemExit")
    (folder / "model.safetensors").write_bytes(safetensors({"a": FLOATS}, bytes(15)))
    code, found = inspected(folder)
    assert code == 1 and sorted(found["problems"]) == ["config.json", "model.safetensors", "modeling_payload.py"]
    assert "auto_map" in found["problems"]["config.json"] and "truncated" in found["problems"]["model.safetensors"]


def test_a_hostile_archive_is_described_without_running_it(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    payload = hostile.payload(canary)
    folder = checkpoint(tmp_path / "model", with_reference("subprocess", "getoutput"), payload, payload)
    code, found = inspected(packed(folder, tmp_path / "model.nemo"))
    assert code == 1 and found["kind"] == "archive with a NeMo-2 checkpoint"
    assert {name: text.split(" names ")[1].split(",")[0] for name, text in found["problems"].items()} == {
        "context/io.json": "subprocess.getoutput",
        "weights/.metadata": "posix.system",
        "weights/common.pt": "posix.system",
    }
    assert not canary.exists()


def test_an_archive_of_nemo_1_is_described(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_config.yaml").write_text("hidden_size: 8\nnum_layers: 2\nprecision: bf16\n")
    (folder / "model_weights.ckpt").write_bytes(hostile.saved(hostile.tensor(4), **FOUR))
    (folder / "0a_tokenizer.model").write_bytes(b"x")
    code, found = inspected(packed(folder, tmp_path / "model.nemo"))
    assert (code, found["kind"]) == (0, "archive with a NeMo-1 model")
    assert found["architecture"] == {"precision": "bf16", "hidden_size": 8, "num_layers": 2}
    assert found["types"]["float32"]["elements"] == 4 and list(found["tokenizer"]) == ["0a_tokenizer.model"]
    (folder / "model_config.yaml").write_text("model: {_target_: os.system}\n")
    code, found = inspected(packed(folder, tmp_path / "model.nemo"))
    assert code == 1 and "_target_" in found["problems"]["model_config.yaml"]


@pytest.mark.parametrize("name", ["traversal", "symbolic link", "sparse file of GNU", "truncated content"])
def test_an_archive_that_is_not_unpacked_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.nemo").write_bytes(hostile.ARCHIVES[name])
    code, found = inspected(tmp_path / "model.nemo")
    assert code == 1 and list(found["problems"]) == ["model.nemo"]


def test_files_of_weights_and_files_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(hostile.saved(hostile.tensor(4), **FOUR))
    assert inspected(tmp_path / "weights.pt")[1]["types"] == {"float32": {"tensors": 1, "elements": 4, "bytes": 16}}
    (tmp_path / "model.onnx").write_bytes(b"x" * 600)
    assert inspected(tmp_path / "model.onnx")[0] == 1


def test_a_name_that_does_not_exist_is_a_named_error(tmp_path: Path) -> None:
    huggingface(tmp_path / "smollm")
    with pytest.raises(UnusableModel, match="did you mean smollm?"):
        CliRunner().invoke(app, ["inspect", str(tmp_path / "smolm")], catch_exceptions=False)
