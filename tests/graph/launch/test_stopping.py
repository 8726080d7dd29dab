"""Exit of a program that was asked to stop."""

import signal
from pathlib import Path

import pytest

from tapeout.graph.launch.stopping import SAVED, Stopper


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
