"""Exit of a program that was asked to stop."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tapeout.graph.launch.stopping import FINISHED, SAVED, Stopper


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_stops_the_program_and_ctrl_c_after_it_ends_the_step(tmp_path: Path, number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), Stopper(tmp_path / "stop") as stopper:
        program = subprocess.Popen(["sleep", "600"], text=True, start_new_session=True)
        stopper.watch(program, signal.SIGTERM)
        os.kill(os.getpid(), number)
        assert stopper.reason == number.name and (tmp_path / "stop").exists()
        if number == signal.SIGUSR1:
            os.kill(os.getpid(), signal.SIGTERM)  # more than a file
        assert program.wait() == -signal.SIGTERM and stopper.was_stopped(-signal.SIGTERM)
        stopper.forget()
        os.kill(os.getpid(), signal.SIGTERM)  # the system's second request changes nothing
        os.kill(os.getpid(), signal.SIGINT)


def test_a_request_after_the_scratch_folder_was_deleted(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Stopper(scratch / "stop") as stopper:
        scratch.rmdir()  # the artifact is complete
        os.kill(os.getpid(), signal.SIGHUP)
        assert stopper.reason == "SIGHUP" and not scratch.exists()


def test_a_request_that_comes_after_the_work_does_not_discard_it(tmp_path: Path) -> None:
    stopper = Stopper(tmp_path / "stop")
    stopper.reason, stopper.terminated = "SIGTERM", True
    (tmp_path / FINISHED).touch()
    assert not stopper.was_stopped(0)
    assert Stopper(tmp_path / "stop").was_stopped(75), "the next attempt begins without the mark"
    assert not (tmp_path / FINISHED).exists()


@pytest.mark.parametrize(
    ("reason", "terminated", "status", "stopped"),
    [
        (None, False, 1, False),
        (None, False, SAVED, True),
        ("the time limit", False, SAVED, True),
        ("the time limit", False, 0, False),  # it finished before it read the request
        ("the time limit", False, 1, False),  # its own error, e.g. a full disk while saving
        ("SIGTERM", True, -signal.SIGTERM, True),
        ("SIGTERM", True, 0, True),  # perhaps with half of its output
        ("SIGTERM", True, -signal.SIGKILL, False),  # e.g. out of memory
    ],
)
def test_only_a_program_that_ended_because_it_was_asked_to_counts_as_stopped(
    tmp_path: Path, reason: str | None, terminated: bool, status: int, stopped: bool
) -> None:
    stopper = Stopper(tmp_path / "stop")
    stopper.reason, stopper.terminated = reason, terminated
    assert stopper.was_stopped(status) == stopped
