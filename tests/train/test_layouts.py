"""Two ranks that train together: the same batches as one, the same bytes wherever they are and however often killed."""

import json
import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tapeout.nemo.read import checkpoint_tensors

from tests.nemo.material import content

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow]
ROOT = Path(__file__).parents[2]


TWO_NODES = {"nodes": 2, "processes": 1}
SHARED_MATRICES = {"nodes": 1, "processes": 2, "tensor": 2}


def start(trainings: Path, output: Path, layout: dict[str, int], **variables: str) -> subprocess.Popen[str]:
    """scripts/sft.py with the job of interrupted.py in a layout of two ranks."""
    job = json.loads((trainings / "sft.json").read_text())
    params = output.with_name("params.json")
    params.write_text(json.dumps({**job, "layout": layout}))
    options = {
        "model": trainings / "base",
        "train": trainings / "rows.jsonl",
        "validation": trainings / "held_out.jsonl",
        "params": params,
        "output": output,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAPEOUT_", "SLURM_"))}
    return subprocess.Popen(
        [sys.executable, "scripts/sft.py", *(word for name, value in options.items() for word in (f"--{name}", value))],
        env={**clean, "PYTHONPATH": str(ROOT), "TMPDIR": str(output.parent), **variables},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def two_machines(trainings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that two torchruns make, undisturbed."""
    output = tmp_path_factory.mktemp("machines") / "model"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{probe.getsockname()[1]}"
    both = [
        start(trainings, output, TWO_NODES, TAPEOUT_NODES="2", TAPEOUT_RENDEZVOUS=where, SLURM_NODEID=str(node))
        for node in (0, 1)
    ]
    said = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert "16/16" in said[0] and "16/16" not in said[1]
    return output


def test_one_machine_killed_and_resumed_makes_the_same_bytes(
    trainings: Path, two_machines: Path, tmp_path: Path
) -> None:
    states, output = tmp_path / "states", tmp_path / "model"
    states.mkdir()
    always = {"TAPEOUT_STATE": str(states), "TAPEOUT_CHECKPOINT_SECONDS": "0"}
    killed = start(trainings, output, TWO_NODES, **always)
    assert killed.stdout is not None
    said = ""
    while "state saved at step 4" not in said:
        said += killed.stdout.readline()
    os.kill(second_rank(killed.pid), signal.SIGKILL)
    said += killed.communicate()[0]
    assert killed.returncode == 1 and "RankFailed: Rank 1 of 2 ended with signal 9" in said.splitlines()[-2], said
    assert not output.exists()
    resumed = start(trainings, output, TWO_NODES, **always)
    said = resumed.communicate()[0]
    assert resumed.returncode == 0 and "going on from step " in said, said
    expected, found = content(two_machines), content(output)
    assert len(expected) > 8 and expected.keys() == found.keys()
    for path, data in expected.items():
        assert found[path] == data, path
    assert sorted(path.name for path in (states / "step-15").iterdir()) == ["part-0.pt", "state.json"], "replicas"


def second_rank(starter: int) -> int:
    """Process id of the rank that runs beside rank 0."""
    for child in Path(f"/proc/{starter}/task/{starter}/children").read_text().split():
        if b"LOCAL_RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError("no such rank")


def test_two_ranks_use_the_batches_of_one(trainings: Path, two_machines: Path) -> None:
    steps = compare_logs(trainings / "tuned", two_machines)
    assert len({b["tokens"] - a["tokens"] for a, b in pairwise(steps)}) > 1


def test_two_ranks_that_share_matrices_train_the_same_model(trainings: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    process = start(trainings, output, SHARED_MATRICES)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    compare_logs(trainings / "tuned", output)
    one, two = checkpoint_tensors(trainings / "tuned"), checkpoint_tensors(output)
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-3


def compare_logs(expected: Path, found: Path) -> list[dict[str, float]]:
    """Both trainings saw the same batches and had the same losses, but for the last bits; returns the steps."""
    one: dict[str, Any] = json.loads((expected / "train_log.json").read_text())
    two: dict[str, Any] = json.loads((found / "train_log.json").read_text())
    assert [step["tokens"] for step in one["steps"]] == [step["tokens"] for step in two["steps"]]
    assert one["parameters"] == two["parameters"]
    for kind in ("steps", "validation"):
        for a, b in zip(one[kind], two[kind], strict=True):
            assert a["step"] == b["step"] and a["loss"] == pytest.approx(b["loss"], abs=1e-4)
    steps: list[dict[str, float]] = one["steps"]
    return steps
