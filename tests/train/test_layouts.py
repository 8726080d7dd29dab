"""Every layout trains the model that one rank trains; the same layout writes the same bytes, also after any kill."""

import ast
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

from tapeout.nemo.checkpoint import CheckpointWeights, checkpoint_tensors
from tests.nemo.process import run_program
from tests.nemo.tiny_model import folder_content
from tests.train import forked_ranks
from tests.train.interrupted_trainings import STEPS, last_checkpoint

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
TWO_NODES = {"num_nodes": 2, "devices": 1}
KILLS = 5
LAYOUTS = {
    **{"selective": 1, "full": 1, "divided": 2, "tensor": 2, "sequence": 2, "pipeline": 2, "stages": 4},
    **{"context": 2, "context of parts": 4, "text context": 2},
}
"""Layouts of layout_trainings.py that are compared with one rank, with their numbers of ranks."""
SECONDS = 900
"""Time limit of a training, also on a busy machine."""


def start(trainings: Path, output: Path, layout: dict[str, int], **variables: str) -> subprocess.Popen[str]:
    """Start scripts/sft.py with the job of interrupted_trainings.py in a layout of two ranks.

    The ranks of the first trainings are forks, and those of the resumed one are processes as for a user, because the
    import of NeMo takes longer than the training.
    """
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
    variables = {**forked_ranks.use(output.parent), "TAPEOUT_NODES": "2"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    processes = [
        start(trainings, output, TWO_NODES, **variables, TAPEOUT_RENDEZVOUS=address, SLURM_NODEID=str(node))
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
    killed = start(trainings, output, TWO_NODES, **variables, **forked_ranks.use(tmp_path))
    assert killed.stdout is not None
    text = ""
    for line in killed.stdout:
        text += line
        if "checkpoint saved at step 4" in line:
            break
    os.kill(forked_ranks.process_id(tmp_path, 1), signal.SIGKILL)
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


def test_two_ranks_use_the_batches_of_one(trainings: Path, two_machines: Path) -> None:
    steps = compare_logs(trainings / "sft", two_machines)
    assert len({b["tokens"] - a["tokens"] for a, b in pairwise(steps)}) > 1


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of layout_trainings.py."""
    return run_program("train.layout_trainings", tmp_path_factory, str(KILLS), "one", "text", *LAYOUTS, timeout=1500)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_trains_the_model_of_one_rank(layouts: Path, name: str) -> None:
    alone = layouts / ("text" if name.startswith("text") else "one")
    compare_logs(alone, layouts / name)
    norms, expected = (json.loads(Path(f"{folder}.norms").read_text()) for folder in (layouts / name, alone))
    assert norms == pytest.approx(expected, rel=1e-4)
    one, other = checkpoint_tensors(alone), checkpoint_tensors(layouts / name)
    assert one.keys() == other.keys()
    exported = dict(CheckpointWeights(layouts / name))
    assert sum(weight.numel() for weight in exported.values()) == sum(weight.numel() for weight in other.values())
    difference = max(float((one[name] - other[name]).abs().max()) for name in one)
    assert difference <= (0 if LAYOUTS[name] == 1 else 1e-5), "recomputing changes no bit"
    files = {path.name.split("_")[2] for path in (layouts / name / "weights").glob("*.distcp")}
    assert files == {str(rank) for rank in range(LAYOUTS[name])}, "every rank writes its part"


@pytest.mark.parametrize(
    ("name", "undisturbed", "kills"), [("killed", "divided", KILLS), ("killed context", "context", 1)]
)
def test_a_divided_optimizer_is_resumed_after_kills(layouts: Path, name: str, undisturbed: str, kills: int) -> None:
    """Both ranks are killed at random times, with a checkpoint after every step, of which each rank writes a part."""
    expected, actual = folder_content(layouts / undisturbed), folder_content(layouts / name)
    assert len(expected) > 8 and expected == actual
    *killed, last = json.loads((layouts / "results.json").read_text())[name]
    assert [attempt["statuses"] for attempt in killed] == [[-9, -9]] * kills and last["statuses"] == [0, 0]
    assert last_checkpoint([attempt["outputs"][0] for attempt in (*killed, last)]) == STEPS - 1
    for step in (14, 15):
        files = sorted(path.name for path in (layouts / f"{name}.checkpoints/step-{step}").iterdir())
        assert files == ["checkpoint.json", "part-0.pt", "part-1.pt"]
    parameters = json.loads((layouts / undisturbed / "train_log.json").read_text())["parameters"]
    parts = json.loads((layouts / f"{name}.checkpoints/step-15/checkpoint.json").read_text())["parts"]
    assert all(6 * parameters < part["size"] < 7.5 * parameters for part in parts), "half of 12 bytes, and names"


@pytest.mark.parametrize("name", ["poisoned", "poisoned context"])
def test_every_rank_stops_at_a_loss_that_is_not_finite_on_one(layouts: Path, name: str) -> None:
    """Two stages, on two replicas or on two ranks of each sequence: each rank names the step, the rank and the rows."""
    (attempt,) = json.loads((layouts / "results.json").read_text())[name]
    assert attempt["statuses"] == [1, 1, 1, 1] and not (layouts / name).exists()
    for output in attempt["outputs"]:
        rows = ast.literal_eval(next(line for line in output.splitlines() if line.startswith("rows "))[5:])
        error = f"NonFinite: The loss of step 3 is nan on rank 3; its batch has {', '.join(rows)}."
        assert error in output and rows


def test_every_rank_of_a_70b_has_its_part(layouts: Path) -> None:
    """The 32 ranks of a replica of config/models/llama2-70b.yaml, without memory; the benchmark checks all 256."""
    found = json.loads((layouts / "meta.json").read_text())
    assert found["problems"] == [] and (found["ranks"], found["world_size"], found["tensors"]) == (32, 256, 9)
    assert found["parameters"] == found["forecast"] == 68_976_648_192 + 2 * 768 * 8192
    assert found["stages"] == pytest.approx(found["stages_forecast"], rel=2e-4)  # every rank has all norms
    assert all(count == pytest.approx(found["stages"][0] / 8, rel=0.02) for count in found["optimizer"])


def compare_logs(expected: Path, actual: Path) -> list[dict[str, float]]:
    """Check that both trainings used the same batches and had the same losses but for the last bits."""
    one: dict[str, Any] = json.loads((expected / "train_log.json").read_text())
    two: dict[str, Any] = json.loads((actual / "train_log.json").read_text())
    assert [step["tokens"] for step in one["steps"]] == [step["tokens"] for step in two["steps"]]
    assert one["parameters"] == two["parameters"]
    for kind in ("steps", "validation"):
        for a, b in zip(one[kind], two[kind], strict=True):
            assert a["step"] == b["step"] and a["loss"] == pytest.approx(b["loss"], abs=1e-5)
    steps: list[dict[str, float]] = one["steps"]
    return steps
