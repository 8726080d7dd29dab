"""Submitting while the controller is away, and what a stop means.

sbatch and squeue are stand-ins that say what they are told to; the real ones are in tests/slurm."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.launch.stopping import SAVED, Stopper
from tapeout.slurm import submit
from tapeout.slurm.executor import FORGOTTEN, Looks

ARGUMENTS = ["--job-name", "run", "--comment", "rule_train", "--wrap=true"]
AWAY = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
LOST = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
JOB = "7|RUNNING|None|gpu1|1|1:00|N/A|gpu:8|run|rule_train|/here"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH; sbatch says the lines of ``says`` one after another, then 7; squeue says ``queue`` or fails."""
    sbatch = (
        f"#!/bin/sh\ncd {tmp_path}\necho x >> calls\nline=$(head -1 says); sed -i 1d says\n"
        '[ -z "$line" ] && echo 7 && exit 0\necho "$line" >&2; exit 1\n'
    )
    squeue = (
        f"#!/bin/sh\ncat {tmp_path}/queue 2>/dev/null || {{ echo 'Unable to contact slurm controller' >&2; exit 1; }}\n"
    )
    for name, text in (("sbatch", sbatch), ("squeue", squeue)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "says").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(submit, "SECONDS_BETWEEN", 0.05)
    return tmp_path


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines()) if (folder / "calls").exists() else 0


def test_a_controller_that_comes_back_gets_the_job_once(stand_ins: Path) -> None:
    (stand_ins / "says").write_text(f"{AWAY}\n")
    (stand_ins / "queue").write_text("")
    assert submit.submit(ARGUMENTS, b"", 30)[:2] == (0, b"7\n")
    assert calls(stand_ins) == 2


def test_a_lost_answer_is_no_reason_to_submit_again(stand_ins: Path) -> None:
    (stand_ins / "says").write_text(f"{LOST}\n")
    (stand_ins / "queue").write_text(f"{JOB}\n")
    assert submit.submit(ARGUMENTS, b"", 30)[:2] == (0, b"7\n")
    assert calls(stand_ins) == 1


def test_silence_is_no_reason_to_submit_again(stand_ins: Path) -> None:
    (stand_ins / "says").write_text(f"{LOST}\n")
    status, _, said = submit.submit(ARGUMENTS, b"", 0.5)
    assert status == 1 and b"timed out" in said and calls(stand_ins) == 1


def test_nothing_is_submitted_for_a_run_that_is_gone(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(submit.DRIVER, str(gone.pid))
    assert submit.submit(ARGUMENTS, b"", 30)[0] == 1 and calls(stand_ins) == 0


def test_what_waiting_does_not_mend_is_said_at_once(stand_ins: Path) -> None:
    (stand_ins / "says").write_text("sbatch: error: invalid partition specified: cpuu\n")
    status, _, said = submit.submit(ARGUMENTS, b"", 30)
    assert status == 1 and b"cpuu" in said and calls(stand_ins) == 1


@pytest.mark.parametrize(
    ("why", "firmly", "status", "stopped"),
    [
        (None, False, 1, False),
        (None, False, SAVED, True),
        ("the time limit", False, SAVED, True),
        ("the time limit", False, 0, False),  # it was done before it looked
        ("the time limit", False, 1, False),  # an error of its own, e.g. a full disk while saving
        ("SIGTERM", True, -signal.SIGTERM, True),
        ("SIGTERM", True, 0, True),  # perhaps with half of its output
        ("SIGTERM", True, -signal.SIGKILL, False),  # e.g. too much memory
    ],
)
def test_only_what_ended_because_it_was_asked_to_is_tried_again(
    tmp_path: Path, why: str | None, firmly: bool, status: int, stopped: bool
) -> None:
    stopper = Stopper(tmp_path / "stop")
    stopper.why, stopper.firmly = why, firmly
    assert stopper._stopped(status) == stopped


def test_a_forgotten_job_is_not_waited_for_without_end_and_each_thing_is_said_once(stand_ins: Path) -> None:
    said: list[str] = []
    looks = Looks(said.append)
    (stand_ins / "queue").write_text(f"{JOB}\n")
    assert [looks.look("run", {"7": "model"}) for _ in range(2)] == [set(), set()]
    assert said == ["+ model  job 7 on gpu1"]
    (stand_ins / "queue").unlink()
    assert looks.look("run", {"7": "model"}) == set()  # silence tells nothing
    (stand_ins / "queue").write_text("")
    assert [looks.look("run", {"7": "model"}) for _ in range(FORGOTTEN)][-1] == {"7"}
    (stand_ins / "queue").write_text(JOB.replace("RUNNING|None", "PENDING|PartitionTimeLimit") + "\n")
    for _ in range(2):
        looks.look("run", {"7": "model"})
    assert said[1:] == ["! model  job 7 may wait for ever: PartitionTimeLimit; see config/site.yaml"]
