"""Checkpoints on disk are complete or absent, also after kills and damage."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from tapeout.train.checkpoint_store import CheckpointStore

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from torch import distributed
from tapeout.train.checkpoint_store import CheckpointStore
from tests.train.test_checkpoint_store import content
distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=0, world_size=1)
store = CheckpointStore(Path(sys.argv[1]), "mine")
newest, _ = store.newest()
step = newest.step if newest else 0
while True:
    step += 1
    store.write(step, content(step))
    print(step, flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Provide a process group of this process alone."""
    file = tmp_path_factory.mktemp("group") / "file"
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def content(step: int) -> dict[str, Any]:
    """Return a checkpoint's content that depends on the step."""
    return {"weights": {"a": torch.arange(50_000.0) + step}, "log": {"steps": [{"step": step, "loss": 0.1 * step}]}}


def test_the_newest_is_read_and_the_newest_two_are_retained(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, "mine")
    assert store.newest() == (None, [])
    sizes = [store.write(step, content(step)) for step in (3, 10, 200)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-10", "step-200"]
    newest, messages = store.newest()
    assert newest is not None and (newest.step, newest.size, messages) == (200, sizes[-1], [])
    assert sizes[-1] == (tmp_path / "step-200/part-0.pt").stat().st_size
    assert torch.equal(newest.content["weights"]["a"], content(200)["weights"]["a"])
    assert newest.content["log"] == content(200)["log"]


def test_tensors_that_share_memory_are_written_once(tmp_path: Path) -> None:
    tensor = torch.zeros(100_000)
    assert CheckpointStore(tmp_path, "mine").write(1, {"model": tensor, "main": tensor.detach()}) < 500_000


def flip_bit(path: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    """Cut off the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("part-0.pt", flip_bit, "part-0.pt is damaged"),
        ("part-0.pt", shorten, "part-0.pt is incomplete"),
        ("part-0.pt", Path.unlink, "part-0.pt is incomplete"),
        ("checkpoint.json", shorten, "its checkpoint.json is damaged"),
        ("checkpoint.json", Path.unlink, "its checkpoint.json is damaged"),
        ("checkpoint.json", lambda path: path.write_text("[]"), "its checkpoint.json is damaged"),
    ],
)
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(
    tmp_path: Path, name: str, damage: Callable[[Path], None], problem: str
) -> None:
    store = CheckpointStore(tmp_path, "mine")
    for step in (1, 2):
        store.write(step, content(step))
    damage(tmp_path / "step-2" / name)
    newest, messages = store.newest()
    assert newest is not None and newest.step == 1
    assert messages == [f"The checkpoint of step 2 is not used: {problem}."]
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"], "otherwise it would be the newest again later"


def test_a_checkpoint_of_another_training_is_not_used(tmp_path: Path) -> None:
    CheckpointStore(tmp_path, "another").write(5, content(5))
    newest, messages = CheckpointStore(tmp_path, "mine").newest()
    assert newest is None
    assert messages == ["The checkpoint of step 5 is not used: part-0.pt is of another job or of other data."]


def test_an_index_without_all_parts_or_of_another_step_is_not_used(tmp_path: Path) -> None:
    CheckpointStore(tmp_path, "mine").write(5, content(5))
    assert CheckpointStore(tmp_path, "mine", part=0, parts=2).newest()[0] is None
    CheckpointStore(tmp_path, "mine").write(5, content(5))
    index = tmp_path / "step-5/checkpoint.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"step": 6}))
    assert CheckpointStore(tmp_path, "mine").newest()[0] is None


def test_after_a_kill_at_any_time_a_complete_checkpoint_is_left(tmp_path: Path) -> None:
    """A process that only writes checkpoints is killed at random times, and resumes each time."""
    folder, draw, last = tmp_path / "checkpoints", random.Random(4), 0
    folder.mkdir()
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, tmp_path / f"group{attempt}"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        time.sleep(draw.random() / 50)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        assert int(lines[0]) > last, "it starts after the newest checkpoint"
        last = int([line for line in lines if line.strip()][-1])
        newest_step = max(int(path.name.removeprefix("step-")) for path in folder.glob("step-*[0-9]"))
        assert newest_step in (last, last + 1)
    newest, messages = CheckpointStore(folder, "mine").newest()
    assert newest is not None and messages == [] and newest.step == newest_step
    assert torch.equal(newest.content["weights"]["a"], content(newest_step)["weights"]["a"])
    assert not list(folder.glob("*.tmp"))
