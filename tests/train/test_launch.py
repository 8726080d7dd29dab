"""The processes of a layout start together and end together, on one machine as on several."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapeout.config.layout import Layout
from tapeout.program import StepFailed
from tapeout.train.launch import every_rank

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
SECONDS = 120
"""Time limit of a program, also on a busy machine."""
PROGRAM = '''
import json, os, signal, sys, time
from pathlib import Path
from tapeout.config.layout import Layout
from tapeout.errors import TapeoutError
from tapeout.program import named_errors
from tapeout.train.launch import every_rank


class Odd(TapeoutError):
    """A named error."""


def main(scene: str, folder: Path, num_nodes: int, devices: int) -> None:
    with every_rank(Layout(num_nodes=num_nodes, devices=devices), threads=3) as rank:
        unfinished = folder / f"{rank.number}.tmp"
        unfinished.write_text(str(os.getpid()))
        unfinished.rename(folder / f"pid{rank.number}")
        while scene != "gathers" and len(list(folder.glob("pid*"))) < rank.world:
            time.sleep(0.05)  # no rank ends before all have written their ids
        if scene == "raises" and rank.number == 1:
            raise Odd("The second rank is odd.", "Make it even.")
        if scene == "dies" and rank.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if scene == "exits" and rank.number == 1:
            raise SystemExit(7)
        if scene == "stops":
            while not rank.stop.requested():
                time.sleep(0.05)
            raise SystemExit(75)
        if scene != "gathers":
            time.sleep(600)  # longer than the test: the launcher, or the death of the starter, must end this process
        from torch import distributed
        created = rank.once("created", lambda path: path.write_text(str(rank.number)))
        distributed.init_process_group("gloo")
        mine = [rank.number, rank.world, rank.local_world, scene, os.environ["OMP_NUM_THREADS"], created.read_text()]
        all_ranks = [None] * rank.world
        distributed.all_gather_object(all_ranks, mine)
        if rank.first:
            (folder / "ranks").write_text(json.dumps(all_ranks))


if __name__ == "__main__":
    with named_errors():
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
'''
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the program in a scene with a layout; no program outlives the test."""
    (tmp_path / "program.py").write_text(PROGRAM)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAPEOUT_", "SLURM_"))}
    processes: list[subprocess.Popen[str]] = []

    def begin(scene: str, num_nodes: int, devices: int, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "program.py", scene, ".", str(num_nodes), str(devices)],
            env={**clean, "PYTHONPATH": str(ROOT), **variables},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()


def output(process: subprocess.Popen[str]) -> str:
    """Wait for a program, and return its messages."""
    return process.communicate(timeout=SECONDS)[1]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail when the time limit has passed."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} after {SECONDS} s"
        time.sleep(0.05)


def process_ids(folder: Path) -> list[int]:
    """Wait for the process ids of two ranks, and return them."""
    wait_until(lambda: len(list(folder.glob("pid*"))) == 2, "not all ranks have started")
    return [int(path.read_text()) for path in sorted(folder.glob("pid*"))]


def has_ended(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_all_ranks_run_the_same_program_and_meet(tmp_path: Path, start: Start) -> None:
    process = start("gathers", 1, 3)
    messages = output(process)
    assert process.returncode == 0, messages
    ranks = json.loads((tmp_path / "ranks").read_text())
    assert ranks == [[number, 3, 3, "gathers", "3", "0"] for number in range(3)]


def test_several_machines_meet_at_the_rendezvous(tmp_path: Path, start: Start) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    processes = [
        start("gathers", 2, 1, TAPEOUT_NODES="2", TAPEOUT_RENDEZVOUS=address, SLURM_NODEID=str(node)) for node in (1, 0)
    ]
    messages = [output(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], messages
    assert json.loads((tmp_path / "ranks").read_text()) == [[n, 2, 1, "gathers", "3", str(n)] for n in (0, 1)]


@pytest.mark.parametrize(
    ("scene", "cause", "fix"),
    [
        ("raises", "Odd: The second rank is odd.", "  fix: Make it even."),
        ("dies", "StepFailed: Rank 1 of 2 ended with signal 9 before its work was done.", "  fix: Read its output"),
        ("exits", "StepFailed: Rank 1 of 2 ended with status 7 before its work was done.", "  fix: Read its output"),
    ],
)
def test_if_a_rank_fails_all_end_and_the_cause_is_printed_last(
    tmp_path: Path, start: Start, scene: str, cause: str, fix: str
) -> None:
    process = start(scene, 1, 2)
    lines = output(process).splitlines()
    assert process.returncode == 1
    assert lines[-2] == cause and lines[-1].startswith(fix)
    assert all(has_ended(pid) for pid in process_ids(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_all_ranks(tmp_path: Path, start: Start, number: signal.Signals) -> None:
    process = start("stops", 1, 2)
    process_ids(tmp_path)
    process.send_signal(number)
    messages = output(process)
    assert process.returncode == 75, messages


def test_the_stop_file_stops_all_ranks(tmp_path: Path, start: Start) -> None:
    process = start("stops", 1, 2, TAPEOUT_STOP=str(tmp_path / "stop"))
    process_ids(tmp_path)
    (tmp_path / "stop").touch()
    messages = output(process)
    assert process.returncode == 75, messages


def test_no_rank_outlives_its_starter(tmp_path: Path, start: Start) -> None:
    process = start("sleeps", 1, 2)
    pids = process_ids(tmp_path)
    process.kill()
    output(process)
    wait_until(lambda: all(has_ended(pid) for pid in pids), "a rank is running")


def test_too_few_gpus_are_an_error() -> None:
    layout = Layout(accelerator="gpu", gpu_model="NVIDIA H200", devices=99)
    message = "The layout needs 99 GPUs on this machine, but PyTorch sees"
    with pytest.raises(StepFailed, match=message), every_rank(layout, 1):
        pass


def test_another_number_of_machines_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEOUT_NODES", "2")
    for layout in (Layout(), Layout(num_nodes=3)):
        with pytest.raises(StepFailed, match="started on 2 nodes"), every_rank(layout, 1):
            pass
