"""Submission while the controller is away, and jobs that it has forgotten.

sbatch and squeue are scripts that print prepared answers, so that these tests need no cluster.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.slurm import submit
from tapeout.slurm.executor import MAX_MISSES, JobWatcher

ARGUMENTS = ["--job-name", "run", "--comment", "rule_train", "--wrap=true"]
AWAY = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
LOST = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
JOB = "7|RUNNING|None|gpu1|1|1:00|N/A|gpu:8|run|rule_train|/here"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder on PATH with sbatch and squeue.

    sbatch fails with one line of the file ``errors`` after another, and then prints 7. squeue prints the file
    ``queue``, and fails without it.
    """
    sbatch = (
        f"#!/bin/sh\ncd {tmp_path}\necho x >> calls\nline=$(head -1 errors); sed -i 1d errors\n"
        '[ -z "$line" ] && echo 7 && exit 0\necho "$line" >&2; exit 1\n'
    )
    squeue = (
        f"#!/bin/sh\ncat {tmp_path}/queue 2>/dev/null || {{ echo 'Unable to contact slurm controller' >&2; exit 1; }}\n"
    )
    for name, text in (("sbatch", sbatch), ("squeue", squeue)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "errors").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(submit, "SECONDS_BETWEEN", 0.05)
    return tmp_path


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines()) if (folder / "calls").exists() else 0


def test_a_job_is_submitted_once_the_controller_is_back(commands: Path) -> None:
    (commands / "errors").write_text(f"{AWAY}\n")
    (commands / "queue").write_text("")
    assert submit.submit(ARGUMENTS, b"", 30)[:2] == (0, b"7\n")
    assert calls(commands) == 2


def test_a_job_whose_answer_was_lost_is_not_submitted_again(commands: Path) -> None:
    (commands / "errors").write_text(f"{LOST}\n")
    (commands / "queue").write_text(f"{JOB}\n")
    assert submit.submit(ARGUMENTS, b"", 30)[:2] == (0, b"7\n")
    assert calls(commands) == 1


def test_without_an_answer_about_the_job_it_is_not_submitted_again(commands: Path) -> None:
    (commands / "errors").write_text(f"{LOST}\n")
    status, _, errors = submit.submit(ARGUMENTS, b"", 0.5)
    assert status == 1 and b"timed out" in errors and calls(commands) == 1


def test_nothing_is_submitted_for_a_run_that_has_ended(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setenv(submit.DRIVER, str(ended.pid))
    assert submit.submit(ARGUMENTS, b"", 30)[0] == 1 and calls(commands) == 0


def test_an_error_that_waiting_does_not_fix_is_returned_at_once(commands: Path) -> None:
    (commands / "errors").write_text("sbatch: error: invalid partition specified: cpuu\n")
    status, _, errors = submit.submit(ARGUMENTS, b"", 30)
    assert status == 1 and b"cpuu" in errors and calls(commands) == 1


def test_a_forgotten_job_is_given_up_and_each_event_is_reported_once(commands: Path) -> None:
    lines: list[str] = []
    watcher = JobWatcher(lines.append)
    (commands / "queue").write_text(f"{JOB}\n")
    assert [watcher.update("run", {"7": "model"}) for _ in range(2)] == [set(), set()]
    assert lines == ["+ model  job 7 on gpu1"]
    (commands / "queue").unlink()
    assert watcher.update("run", {"7": "model"}) == set()  # no answer, which means nothing
    (commands / "queue").write_text("")
    assert [watcher.update("run", {"7": "model"}) for _ in range(MAX_MISSES)][-1] == {"7"}
    (commands / "queue").write_text(JOB.replace("RUNNING|None", "PENDING|PartitionTimeLimit") + "\n")
    for _ in range(2):
        watcher.update("run", {"7": "model"})
    assert lines[1:] == ["! model  job 7 may wait forever: PartitionTimeLimit; see config/site.yaml"]
