"""States on disk: whole or not there, whatever happens while they are written or afterwards."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed

from tapeout.train.checkpoint_store import States

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from torch import distributed
from tapeout.train.checkpoint_store import States
from tests.nemo.test_state import content
distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=0, world_size=1)
states = States(Path(sys.argv[1]), "mine")
found, _ = states.newest()
step = found.step if found else 0
while True:
    step += 1
    states.write(step, content(step))
    print(step, flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone."""
    meeting = tmp_path_factory.mktemp("meeting") / "file"
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def content(step: int) -> dict:
    return {"weights": {"a": torch.arange(50_000.0) + step}, "journal": {"steps": [{"step": step, "loss": 0.1 * step}]}}


def test_the_newest_comes_back_and_the_newest_two_are_kept(tmp_path: Path) -> None:
    states = States(tmp_path, "mine")
    assert states.newest() == (None, [])
    sizes = [states.write(step, content(step)) for step in (3, 10, 200)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-10", "step-200"]
    found, wrong = states.newest()
    assert found is not None and (found.step, found.size, wrong) == (200, sizes[-1], [])
    assert sizes[-1] == (tmp_path / "step-200/part-0.pt").stat().st_size
    assert torch.equal(found.content["weights"]["a"], content(200)["weights"]["a"])
    assert found.content["journal"] == content(200)["journal"]


def test_tensors_that_share_memory_are_written_once(tmp_path: Path) -> None:
    tensor = torch.zeros(100_000)
    assert States(tmp_path, "mine").write(1, {"model": tensor, "main": tensor.detach()}) < 500_000


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        ("part-0.pt", flip, "part-0.pt is damaged"),
        ("part-0.pt", shorten, "part-0.pt is not whole"),
        ("part-0.pt", Path.unlink, "part-0.pt is not whole"),
        ("state.json", shorten, "its state.json is damaged"),
        ("state.json", Path.unlink, "its state.json is damaged"),
        ("state.json", lambda path: path.write_text("[]"), "its state.json is damaged"),
    ],
)
def test_a_damaged_state_is_named_and_the_one_before_is_used(tmp_path: Path, name: str, harm, words: str) -> None:
    states = States(tmp_path, "mine")
    for step in (1, 2):
        states.write(step, content(step))
    harm(tmp_path / "step-2" / name)
    found, wrong = states.newest()
    assert found is not None and found.step == 1
    assert wrong == [f"The state of step 2 is not used: {words}."]
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"], "it would pass for the newest later"


def test_a_state_of_something_else_is_not_used(tmp_path: Path) -> None:
    States(tmp_path, "another").write(5, content(5))
    found, wrong = States(tmp_path, "mine").newest()
    assert found is None
    assert wrong == ["The state of step 5 is not used: part-0.pt is of another job or of other data."]


def test_a_list_without_all_parts_is_not_believed(tmp_path: Path) -> None:
    States(tmp_path, "mine").write(5, content(5))
    assert States(tmp_path, "mine", part=0, parts=2).newest()[0] is None
    States(tmp_path, "mine").write(5, content(5))
    listed = tmp_path / "step-5/state.json"
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {"step": 6}))
    assert States(tmp_path, "mine").newest()[0] is None


def test_killed_at_any_moment_a_whole_state_is_left(tmp_path: Path) -> None:
    """A process that does nothing but write states is killed at random moments, and goes on each time."""
    folder, chance, last = tmp_path / "states", random.Random(4), 0
    folder.mkdir()
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, tmp_path / f"meeting{attempt}"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        time.sleep(chance.random() / 50)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().splitlines()
        process.wait()
        assert int(said[0]) > last, "it begins where the newest state ends"
        last = int([line for line in said if line.strip()][-1])
        newest = max(int(path.name.removeprefix("step-")) for path in folder.glob("step-*[0-9]"))
        assert newest in (last, last + 1)
    found, wrong = States(folder, "mine").newest()
    assert found is not None and wrong == [] and found.step == newest
    assert torch.equal(found.content["weights"]["a"], content(newest)["weights"]["a"])
    assert not list(folder.glob("*.tmp"))
