"""Two ranks train with the batches of one, and write the same bytes on any machines and after any kill."""

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

from tapeout.nemo.checkpoint import checkpoint_tensors
from tests.nemo.tiny_model import folder_content

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
TWO_NODES = {"num_nodes": 2, "devices": 1}
SHARED_MATRICES = {"num_nodes": 1, "devices": 2, "tensor_model_parallel_size": 2}
SECONDS = 900
"""Time limit of a training, also on a busy machine."""


def start(trainings: Path, output: Path, layout: dict[str, int], **variables: str) -> subprocess.Popen[str]:
    """Start scripts/sft.py with the job of interrupted_trainings.py in a layout of two ranks."""
    job = json.loads((trainings / "sft.json").read_text())
    params = output.with_name("params.json")
    params.write_text(json.dumps({**job, "layout": layout}))
    options = {"model": trainings / "base", "encoded": trainings / "encoded", "params": params, "output": output}
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
    """Return the model that two torchruns write without interruption."""
    output = tmp_path_factory.mktemp("machines") / "model"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    processes = [
        start(trainings, output, TWO_NODES, TAPEOUT_NODES="2", TAPEOUT_RENDEZVOUS=address, SLURM_NODEID=str(node))
        for node in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "16/16" in outputs[0] and "16/16" not in outputs[1]
    return output


def test_one_machine_killed_and_resumed_writes_the_same_bytes(
    trainings: Path, two_machines: Path, tmp_path: Path
) -> None:
    checkpoints, output = tmp_path / "checkpoints", tmp_path / "model"
    checkpoints.mkdir()
    variables = {"TAPEOUT_STATE": str(checkpoints), "TAPEOUT_CHECKPOINT_SECONDS": "0"}
    killed = start(trainings, output, TWO_NODES, **variables)
    assert killed.stdout is not None
    text = ""
    for line in killed.stdout:
        text += line
        if "checkpoint saved at step 4" in line:
            break
    os.kill(second_rank(killed.pid), signal.SIGKILL)
    text += killed.communicate(timeout=SECONDS)[0]
    assert killed.returncode == 1 and "StepFailed: Rank 1 of 2 ended with signal 9" in text.splitlines()[-2], text
    assert not output.exists()
    resumed = start(trainings, output, TWO_NODES, **variables)
    text = resumed.communicate(timeout=SECONDS)[0]
    assert resumed.returncode == 0 and "resuming from step " in text, text
    expected, actual = folder_content(two_machines), folder_content(output)
    assert len(expected) > 8 and expected.keys() == actual.keys()
    for path, data in expected.items():
        assert actual[path] == data, path
    files = sorted(path.name for path in (checkpoints / "step-15").iterdir())
    assert files == ["checkpoint.json", "part-0.pt"], "of two replicas only the first writes"


def second_rank(starter: int) -> int:
    """Return the process id of rank 1."""
    for child in Path(f"/proc/{starter}/task/{starter}/children").read_text().split():
        if b"LOCAL_RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError("no such rank")


def test_two_ranks_use_the_batches_of_one(trainings: Path, two_machines: Path) -> None:
    steps = compare_logs(trainings / "sft", two_machines)
    assert len({b["tokens"] - a["tokens"] for a, b in pairwise(steps)}) > 1


def test_two_ranks_that_share_matrices_train_the_same_model(trainings: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    process = start(trainings, output, SHARED_MATRICES)
    text = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 0, text
    compare_logs(trainings / "sft", output)
    one, two = checkpoint_tensors(trainings / "sft"), checkpoint_tensors(output)
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-3


def compare_logs(expected: Path, actual: Path) -> list[dict[str, float]]:
    """Check that both trainings used the same batches and had the same losses but for the last bits."""
    one: dict[str, Any] = json.loads((expected / "train_log.json").read_text())
    two: dict[str, Any] = json.loads((actual / "train_log.json").read_text())
    assert [step["tokens"] for step in one["steps"]] == [step["tokens"] for step in two["steps"]]
    assert one["parameters"] == two["parameters"]
    for kind in ("steps", "validation"):
        for a, b in zip(one[kind], two[kind], strict=True):
            assert a["step"] == b["step"] and a["loss"] == pytest.approx(b["loss"], abs=1e-4)
    steps: list[dict[str, float]] = one["steps"]
    return steps
