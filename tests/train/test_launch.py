"""The processes of a layout: started together, ended together, the same on one machine as on several."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeout.config.training import Layout
from tapeout.train.launch import UnfitLayout, every_rank

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
PROGRAM = '''
import os, signal, sys, time
from pathlib import Path
import typer
from tapeout.program import named_errors
from tapeout.config.training import Layout
from tapeout.errors import TapeoutError
from tapeout.train.launch import every_rank


class Odd(TapeoutError):
    """Something is odd."""


def main(scene: str, place: Path, nodes: int, processes: int) -> None:
    with every_rank(Layout(nodes=nodes, processes=processes), threads=3) as rank:
        (place / f"pid{rank.number}").write_text(str(os.getpid()))
        if scene == "odd" and rank.number == 1:
            raise Odd("The second is odd.", "Even it.")
        if scene == "dies" and rank.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if scene == "ends" and rank.number == 1:
            raise SystemExit(7)
        if scene == "waits":
            while not rank.stop.wanted():
                time.sleep(0.05)
            raise SystemExit(75)
        if scene != "tells":
            time.sleep(600)  # much longer than the test: the launcher, or the death of its starter, is to end it
        import json
        from torch import distributed
        made = rank.once("made", lambda path: path.write_text(str(rank.number)))
        distributed.init_process_group("gloo")
        mine = [rank.number, rank.world, rank.local_world, sys.argv[1], os.environ["OMP_NUM_THREADS"], made.read_text()]
        told = [None] * rank.world
        distributed.all_gather_object(told, mine)
        if rank.first:
            (place / "told").write_text(json.dumps(told))


if __name__ == "__main__":
    with named_errors():
        typer.run(main)
'''
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts the program in a scene with a layout."""
    (tmp_path / "program.py").write_text(PROGRAM)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAPEOUT_", "SLURM_"))}

    def begin(scene: str, nodes: int, processes: int, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "program.py", scene, ".", str(nodes), str(processes)],
            env={**clean, "PYTHONPATH": str(ROOT), **variables},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def ranks(place: Path, count: int) -> list[int]:
    """Process ids of so many ranks, once they are there."""
    while len(found := sorted(place.glob("pid*"))) < count or not all(path.read_text() for path in found):
        time.sleep(0.05)
    return [int(path.read_text()) for path in found]


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_all_run_the_same_program_and_meet(tmp_path: Path, start: Start) -> None:
    done = start("tells", 1, 3)
    said = done.communicate()[1]
    assert done.returncode == 0, said
    told = json.loads((tmp_path / "told").read_text())
    assert told == [[number, 3, 3, "tells", "3", "0"] for number in range(3)]


def test_several_machines_meet_at_the_rendezvous(tmp_path: Path, start: Start) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{probe.getsockname()[1]}"
    both = [
        start("tells", 2, 1, TAPEOUT_NODES="2", TAPEOUT_RENDEZVOUS=where, SLURM_NODEID=str(node)) for node in (1, 0)
    ]
    said = [each.communicate()[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert json.loads((tmp_path / "told").read_text()) == [[n, 2, 1, "tells", "3", str(n)] for n in (0, 1)]


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("odd", ["Odd: The second is odd.", "  fix: Even it."]),
        (
            "dies",
            ["RankFailed: Rank 1 of 2 ended with signal 9 before its work was done.", "  fix: Read what it said"],
        ),
        (
            "ends",
            ["RankFailed: Rank 1 of 2 ended with status 7 before its work was done.", "  fix: Read what it said"],
        ),
    ],
)
def test_when_one_fails_all_end_and_the_cause_is_said_last(
    tmp_path: Path, start: Start, scene: str, words: list[str]
) -> None:
    process = start(scene, 1, 2)
    said = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert said[-2] == words[0] and said[-1].startswith(words[1])
    assert all(gone(pid) for pid in ranks(tmp_path, 2))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_a_wish_that_all_hear(tmp_path: Path, start: Start, number: signal.Signals) -> None:
    process = start("waits", 1, 2)
    ranks(tmp_path, 2)
    process.send_signal(number)
    said = process.communicate()[1]
    assert process.returncode == 75, said


def test_the_file_is_such_a_wish_too(tmp_path: Path, start: Start) -> None:
    process = start("waits", 1, 2, TAPEOUT_STOP=str(tmp_path / "stop"))
    ranks(tmp_path, 2)
    (tmp_path / "stop").touch()
    assert (process.communicate(), process.returncode)[1] == 75


def test_no_rank_outlives_its_starter(tmp_path: Path, start: Start) -> None:
    process = start("sleeps", 1, 2)
    found = ranks(tmp_path, 2)
    process.kill()
    process.communicate()
    while not all(gone(pid) for pid in found):
        time.sleep(0.05)


def test_too_few_gpus_are_named() -> None:
    layout = Layout(accelerator="gpu", processes=99)
    words = "The layout wants 99 GPUs on this machine, and PyTorch sees"
    with pytest.raises(UnfitLayout, match=words), every_rank(layout, 1):
        pass


def test_another_number_of_machines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEOUT_NODES", "2")
    for layout in (Layout(), Layout(nodes=3)):
        with pytest.raises(UnfitLayout, match="started on 2 nodes"), every_rank(layout, 1):
            pass
