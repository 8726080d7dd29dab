"""Comparison of checkpoints that safetensors and torch wrote."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as checkpoint
from safetensors.torch import save_file

from tapeout.compare import tensors
from tapeout.compare.file_comparison import Level
from tapeout.config.comparison import Bounds
from tests.compare.material import compared

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.environment("nemo"),
    pytest.mark.filterwarnings("ignore:torch.distributed is disabled", "ignore:`torch.jit.script`"),
]


def weights() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "embedding": torch.randn(64, 8, generator=draw),
        "half": torch.randn(8, 8, generator=draw).to(torch.bfloat16),
        "eighth": torch.randn(8, generator=draw).to(torch.float8_e4m3fn),
        "count": torch.arange(5),
        "mask": torch.tensor([True, False]),
        "one": torch.tensor(2.5),
        "wave": torch.tensor([1 + 2j, 3.0]),
        "none": torch.empty(0, 3),
    }


Lines = tuple[dict[str, dict[str, Any]], dict[str, Any]]
Program = Callable[[Path, Path], Lines]


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    """Return a function that runs the program in this process: its lines by name, and the last line."""

    def run(old: Path, new: Path) -> Lines:
        tensors.main(old, new)
        *lines, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {line["name"]: line for line in lines}, last

    return run


def differing(old: dict[str, Any], new: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the differences of two sets of values, by name."""

    class Values:
        def __init__(self, values: dict[str, Any]) -> None:
            self.values = values

        def names(self) -> list[str]:
            return sorted(self.values)

        def read(self, name: str) -> Any:
            return self.values[name]

    *lines, last = tensors.differences(Values(old), Values(new), lambda side: None)
    assert last["equal"] >= 0
    return {line["name"]: line for line in lines}


def test_equal_tensors_of_all_types_are_equal() -> None:
    assert differing(weights(), weights()) == {}


@pytest.mark.parametrize("name", sorted(set(weights()) - {"none"}))
def test_one_bit_is_found_in_every_type(name: str) -> None:
    new = weights()
    raw = new[name].clone().reshape(-1).view(torch.uint8)
    raw[0] ^= 1
    new[name] = raw.view(new[name].dtype).reshape(new[name].shape)
    result = differing(weights(), new)
    assert list(result) == [name] and result[name]["differing"] == 1 and result[name]["state"] == "changed"
    assert result[name]["max_absolute"] > 0 and result[name]["largest"] > 0


def test_figures_of_a_changed_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "BLOCK", 7)  # several blocks, the last one short
    old, new = weights()["embedding"], weights()["embedding"]
    new[3, 1] += 0.5
    new[60, 7] -= 2.0
    figures = differing({"a": old}, {"a": new})["a"]
    assert (figures["elements"], figures["differing"], figures["shape"]) == (512, 2, [64, 8])
    assert figures["max_absolute"] == pytest.approx(2.0)
    assert figures["largest"] == pytest.approx(max(float(old.abs().max()), float(new.abs().max())))


def test_signs_of_zero_and_values_that_are_not_finite() -> None:
    old = {"a": torch.tensor([0.0, torch.nan, torch.inf, 1.0])}
    assert differing(old, {"a": old["a"].clone()}) == {}
    result = differing(old, {"a": torch.tensor([-0.0, 1.0, torch.inf, torch.inf])})["a"]
    assert (result["differing"], result["not_finite"], result["max_absolute"], result["largest"]) == (3, 2, 0.0, 1.0)


def test_forms_missing_tensors_and_other_values() -> None:
    old = {
        "a": torch.zeros(2),
        "b": torch.zeros(2),
        "gone": torch.zeros(1),
        "step": {"n": 1, "list": [1, 2], "no": None},
    }
    new = {"a": torch.zeros(2, 1), "b": torch.zeros(2).half(), "more": 3, "step": {"n": 1, "list": [1], "no": None}}
    result = differing(old, new)
    assert {name: line["state"] for name, line in result.items()} == {
        "a": "form",
        "b": "form",
        "gone": "removed",
        "more": "added",
        "step.list.1": "removed",
    }
    assert result["b"]["new"] == {"type": "float16", "shape": [2]}


def test_values_that_are_not_json() -> None:
    itself: list[Any] = [1]
    itself.append(itself)
    value = {"x": float("nan"), "y": 2**70, "z": b"ab", "e": [], "s": {2, 1}, "t": torch.float16, "i": itself}
    assert differing({"a": value}, {"a": value}) == {}
    result = dict(tensors.leaves(value))
    assert result["x"] == "nan" and result["e"] == "empty" and result["i.1"] == "itself"
    assert result["t"] == "torch.float16"
    json.dumps(result, allow_nan=False)


# -- files -------------------------------------------------------------------------------------------------------------


def saved(kind: str, path: Path, values: dict[str, torch.Tensor]) -> Path:
    """Write a checkpoint in one of the three formats."""
    if kind == "safetensors":
        save_file(values, path.with_suffix(".safetensors"), metadata={"format": "pt"})
        return path.with_suffix(".safetensors")
    if kind == "saved":
        torch.save({"model": values, "step": 3}, path.with_suffix(".pt"))
        return path.with_suffix(".pt")
    checkpoint.save({"model": values, "step": 3}, checkpoint_id=path, no_dist=True)
    return path


@pytest.mark.parametrize(("kind", "prefix"), [("safetensors", ""), ("saved", "model."), ("distributed", "model.")])
def test_all_formats(tmp_path: Path, program: Program, kind: str, prefix: str) -> None:
    old, new = weights(), weights()
    new["half"][0, 0] = 100.0
    del new["one"]
    result, last = program(saved(kind, tmp_path / "old", old), saved(kind, tmp_path / "new", new))
    states = {name.removeprefix(prefix): line["state"] for name, line in result.items()}
    assert states == {"half": "changed", "one": "removed"}
    assert result[f"{prefix}half"]["largest"] == 100.0 and last["equal"] >= 6


@pytest.mark.parametrize("kind", ["safetensors", "saved", "distributed"])
def test_a_damaged_checkpoint(tmp_path: Path, program: Program, kind: str) -> None:
    old, new = saved(kind, tmp_path / "old", weights()), saved(kind, tmp_path / "new", weights())
    file = max(new.rglob("*.distcp")) if kind == "distributed" else new
    whole = file.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"\xff" * 50, whole[:40] + b"\xff" * 8 + whole[48:]):
        file.write_bytes(damage)
        assert program(old, new)[1].get("unreadable", "new") == "new"  # the last damage may hit an unused byte
    file.write_bytes(b"")
    assert program(new, old)[1]["unreadable"] == "old"
    file.unlink()
    assert program(old, new)[1]["unreadable"] == "new"


class Runs:
    """An object whose pickle runs a command when ``pickle`` loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, program: Program) -> None:
    torch.save({"a": torch.ones(1), "b": Runs(tmp_path / "ran")}, tmp_path / "old.pt")
    torch.save({"a": torch.zeros(1), "b": Runs(tmp_path / "run")}, tmp_path / "new.pt")
    result, _ = program(tmp_path / "old.pt", tmp_path / "new.pt")
    assert list(result) == ["a", "b.arguments.0"] and not (tmp_path / "ran").exists()
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "new.pt"))
    assert "TorchScript" in program(tmp_path / "old.pt", tmp_path / "new.pt")[1]["why"]
    folder = saved("distributed", tmp_path / "folder", weights())
    index = (folder / ".metadata").read_bytes().replace(b"__0_0.distcp", b"/etc/passwdd")
    (folder / ".metadata").write_bytes(index)
    assert "outside" in program(folder, folder)[1]["why"]


SHARDED = """
import sys, torch, torch.distributed as distributed
import torch.distributed.checkpoint as checkpoint
from torch.distributed.tensor import Shard, distribute_tensor
from torch.distributed.device_mesh import init_device_mesh
rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}.store", rank=rank, world_size=2)
whole = torch.arange(60.0).reshape(6, 10)
mesh = init_device_mesh("cpu", (2,))
state = {"rows": distribute_tensor(whole, mesh, [Shard(0)]), "columns": distribute_tensor(whole, mesh, [Shard(1)])}
checkpoint.save(state, checkpoint_id=folder)
"""


def test_the_same_tensors_saved_by_two_processes_are_equal(tmp_path: Path, program: Program) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", SHARDED, str(rank), str(tmp_path / "two")]) for rank in range(2)
    ]
    assert [process.wait(timeout=100) for process in processes] == [0, 0]
    whole = torch.arange(60.0).reshape(6, 10)
    checkpoint.save({"rows": whole, "columns": whole}, checkpoint_id=tmp_path / "one", no_dist=True)
    assert program(tmp_path / "one", tmp_path / "two") == ({}, {"equal": 2})
    parts = sorted((tmp_path / "two").glob("*.distcp"))
    assert len(parts) == 2
    checkpoint.save({"rows": whole, "columns": whole.T.clone().T + 1}, checkpoint_id=tmp_path / "other", no_dist=True)
    result, _ = program(tmp_path / "two", tmp_path / "other")
    assert list(result) == ["columns"] and result["columns"]["differing"] == 60


# -- artifacts ---------------------------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the project's folder, where the environment is searched."""
    monkeypatch.chdir(ROOT)


def packed(members: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def test_a_distributed_checkpoint_counts_as_one_file(tmp_path: Path) -> None:
    old, new = weights(), weights()
    new["embedding"][0, 0] += 0.001
    folders = [saved("distributed", tmp_path / name / "weights", values) for name, values in (("a", old), ("b", new))]
    before, after = (files(folder.parent) for folder in folders)
    result = compared(tmp_path / "1", before, after)
    (difference,) = result.files
    assert (difference.path, difference.kind, difference.reason) == ("weights", "tensors", "1 tensor changed")
    assert result.level is Level.NONE
    archives = packed(before), packed(after)
    assert compared(tmp_path / "2", *archives, Bounds(tensors=0.01), name="base.nemo").level is Level.METRICS
    again = saved("distributed", tmp_path / "c" / "weights", old)
    assert files(again) != files(folders[0])  # a save is numbered at random
    assert compared(tmp_path / "3", before, files(again.parent)).level is Level.VALUES


def test_a_checkpoint_that_cannot_be_read_is_compared_file_by_file(tmp_path: Path) -> None:
    old = files(saved("distributed", tmp_path / "a", weights()))
    new = {**old, "__0_0.distcp": old["__0_0.distcp"][:-900]}
    (difference,) = compared(tmp_path / "1", old, new).files
    assert difference.path == "__0_0.distcp" and difference.reason.startswith("the new one cannot be read: ")
    first = save_bytes(weights(), tmp_path / "x.safetensors")
    (difference,) = compared(tmp_path / "2", {"x.safetensors": first}, {"x.safetensors": first[:99]}).files
    assert difference.kind == "bytes" and "the new one cannot be read" in difference.reason


def save_bytes(values: dict[str, torch.Tensor], path: Path) -> bytes:
    save_file(values, path)
    return path.read_bytes()
