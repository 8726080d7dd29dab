"""The output of a program ends with the program."""

import os
import signal
import subprocess

import pytest

from tapeout.graph.launch import output
from tapeout.graph.launch.output import MAX_LINES, output_lines


def program(command: str) -> "subprocess.Popen[str]":
    """Start a shell command whose output is a pipe."""
    return subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True)


def test_all_lines_arrive() -> None:
    with program(f"seq {3 * MAX_LINES}; printf end") as process:
        assert list(output_lines(process)) == [*(f"{n}\n" for n in range(1, 3 * MAX_LINES + 1)), "end"]


@pytest.mark.parametrize("left", ["sleep 300", "while echo still here; do sleep 0.01; done"])
def test_a_process_that_is_left_behind_does_not_keep_the_step_waiting(
    left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "SECONDS_AFTER_END", 0.5)
    process = program(f"setsid sh -c '{left}' & echo $!; exit 3")
    lines = list(output_lines(process))
    os.killpg(int(next(line for line in lines if line.strip().isdigit())), signal.SIGKILL)
    assert process.wait(60) == 3
