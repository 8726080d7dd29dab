"""``tapeout top`` on the small project: before, during and after runs, in 80 and 140 columns."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tapeout.cli import output
from tapeout.cli.top import _parts
from tapeout.graph.run.monitor import Queue, Row, StepStatus, View
from tapeout.graph.workspace import Workspace
from tests.cli.conftest import as_json, call
from tests.graph.conftest import ALL, Project

NOW = time.mktime((2030, 1, 1, 9, 0, 0, 0, 0, -1))

TRAIN = """
import os, sys, time
from pathlib import Path
with open(os.environ["TAPEOUT_METRICS"], "w") as journal:
    journal.write('{"begin": 0, "total": 10}\\n{"step": 1, "loss": 4.5, "time": 1}\\n')
    journal.write('{"step": 2, "loss": 3.5, "time": 2}\\n{"step": 3, "loss": 2.5, "validation_loss": 3, "time": 3}\\n')
print('@progress {"done": 3, "total": 10, "loss": 2.5, "tokens_per_second": 12345}', flush=True)
for _ in range(12000):  # ten minutes: longer than a test, so that a lost one ends
    if Path("SHARED/go").exists():
        break
    time.sleep(0.05)
"""
PLOT = """
Loss of model (*) and validation loss (o)
4.5 |*
"""


@contextmanager
def under_way(where: Project) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run whose step ``model`` reports progress and waits for the file ``go``."""
    waiting = TRAIN.replace("SHARED", str(where.share()))
    where.edit("scripts/model.py", "import json\n", f"import json\n{waiting}")
    process = subprocess.Popen(
        where.command(), cwd=where.root, env=where.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        where.path("shared/go").touch()
        process.communicate(timeout=300)


def wait_for(where: Project, true: Any) -> dict[str, dict[str, Any]]:
    """Return rows by artifact, as soon as the condition holds for them."""
    for _ in range(200):
        code, text, _ = call(where, "top", "--json")
        rows = {} if code == 3 else {row["artifact"]: row for row in json.loads(text)["rows"]}
        if true(rows):
            return rows
        time.sleep(0.1)
    raise AssertionError(rows)


def test_before_and_after_a_run(project: Project) -> None:
    code, _, errors = call(project, "top")
    assert code == 3 and "NoProject: No run was planned in this folder." in errors
    project.run("--dry-run")
    code, text, _ = call(project, "top")
    assert code == 0 and text.startswith("Plan: 0 of 6 built; no run yet.") and text.count("to do") == 6
    project.run()
    code, text, _ = call(project, "top")
    assert code == 0 and "Plan: 6 of 6 built; no run: the last ended" in text and "Built 6 in" in text
    project.run()
    code, result = as_json(project, "top")
    assert (code, result["rows"], result["existing"], result["alive"]) == (0, [], len(ALL), False)


def test_a_run_in_progress(project: Project) -> None:
    with under_way(project) as process:
        rows = wait_for(project, lambda rows: rows.get("model", {}).get("done"))
        model, report = rows["model"], rows["report.txt"]
        assert (model["status"], model["done"], model["total"]) == ("running", 3, 10)
        assert model["values"] == {"loss": 2.5, "tokens_per_second": 12345}
        assert (report["status"], report["waits_for"]) == ("waiting", ["model"])
        _, text, _ = call(project, "top", "--once", columns="140")
        assert "here" in text and "3/10" in text and "12,345" in text and "for model" in text
        assert PLOT in text
        assert "Loss of" not in call(project, "top", "--json")[1]
        assert project.run("--dry-run", ok=True) and process.poll() is None
        assert "RunInProgress" in project.run(ok=False).text, "looking on does not take the folder's lock away"


def test_it_ends_with_the_run(project: Project) -> None:
    with under_way(project):
        wait_for(project, lambda rows: "model" in rows and rows["model"]["status"] == "running")
        watching, theirs = os.openpty()
        command = [sys.executable, "-m", "tapeout.cli", "top", "--every", "0.2"]
        environment = {**project.variables(), "COLUMNS": "80", "LINES": "40", "TERM": "xterm"}
        process = subprocess.Popen(command, cwd=project.root, env=environment, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = ""
        end = time.monotonic() + 300  # the command prints five times a second until it ends
        while "running" not in shown:
            assert time.monotonic() < end, shown
            shown += os.read(watching, 65536).decode()
        project.path("shared/go").touch()
        while time.monotonic() < end:
            try:
                shown += os.read(watching, 65536).decode()
            except OSError:
                break
    assert process.wait() == 0
    assert "Built 6 in" in shown and "for model" in shown
    assert "Loss of model (*) and validation loss (o)" in shown


def test_a_run_that_failed_shows_the_end_of_the_log(project: Project) -> None:
    project.edit("scripts/formatted.py", "output.write", "print('last words')\nraise SystemExit(7)\noutput.write")
    project.run("--keep-going", ok=False)
    code, text, _ = call(project, "top")
    assert code == 1
    assert "scripts/formatted.py ended with status 7." in text and "    | last words" in text
    assert "failed" in text and "to do" in text
    code, result = as_json(project, "top")
    assert [failure["artifact"] for failure in result["run"]["failures"]] == ["formatted.txt"]
    assert "1 failed" in result["run"]["summary"]


def test_a_killed_run_is_not_shown_as_running(project: Project) -> None:
    with under_way(project) as process:
        rows = wait_for(project, lambda rows: rows.get("model", {}).get("done"))
        assert rows["model"]["status"] == "running"
        process.send_signal(signal.SIGKILL)
        process.wait()
        result = as_json(project, "top")[1]
        assert not result["alive"], "its job may live on, and is shown as such"
        note = next(project.path("work").glob("*/progress.json"))
        os.kill(json.loads(note.read_bytes())["pid"], signal.SIGKILL)
        rows = wait_for(project, lambda rows: rows["model"]["status"] != "running")
        assert rows["model"]["status"] == "ended"
        code, text, _ = call(project, "top")
        assert code == 1 and "was killed" in text and "without a result" in text


def row(name: str, status: StepStatus, **more: Any) -> Row:
    return Row(name, name.partition("/")[0], status, **more)


ROWS = [
    row(
        "dapt/model",
        StepStatus.RUNNING,
        job="1234567",
        node="gpu[1-2]",
        gpus=16,
        done=120,
        total=20000,
        remaining=7300.0,
    ),
    row(
        "sources/wheels", StepStatus.RUNNING, node="login1", done=12 * 10**7, total=2 * 10**8, values={"file": "a.whl"}
    ),
    row("evaluation/base.json", StepStatus.STARTING, job="1234568", node="cpu1"),
    row("sft/model", StepStatus.QUEUED, reason="Resources", start="2030-01-01T10:30:00", job="1234569", gpus=8),
    row("sft/other", StepStatus.QUEUED, reason="Priority", start="2030-01-02T10:30:00", job="1234570", gpus=8),
    *(row(f"clean/{number}.txt", StepStatus.WAITING, waits_for=["corpus/domain"]) for number in range(2000)),
    row("eval_report", StepStatus.WAITING, waits_for=["evaluation/base.json", "sft/model"]),
]
ROWS[0].values = {"loss": 3.2145, "tokens_per_second": 123456}
NARROW = """
Plan: 3 of 2,009 built, 12 reused; no run yet.
It does not answer; jobs as of 24 s ago.

artifact              state     where, why
────────────────────────────────────────────────────────────────────────────────
dapt/model            running   job 1234567, 16 GPUs, gpu[1-2]
                                120/20,000, 2.0 h left, loss 3.2145, 123,456
                                tokens/s
sources/wheels        running   login1, 60 %, file a.whl
evaluation/base.json  starting  job 1234568, cpu1
sft/model             queued    job 1234569, 8 GPUs, Resources, starts 10:30
sft/other             queued    job 1234570, 8 GPUs, Priority, starts 02 Jan
                                10:30
2,000 of clean        waiting   for corpus/domain
eval_report           waiting   for evaluation/base.json and 1 more
"""
WIDE = """
Plan: 3 of 2,009 built, 12 reused; no run yet.
It does not answer; jobs as of 24 s ago.

artifact              state         job  GPUs  where, why                                 step    loss  tokens/s   left
───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
dapt/model            running   1234567    16  gpu[1-2]                             120/20,000  3.2145   123,456  2.0 h
sources/wheels        running                  login1, file a.whl                         60 %
evaluation/base.json  starting  1234568        cpu1
sft/model             queued    1234569     8  Resources, starts 10:30
sft/other             queued    1234570     8  Priority, starts 02 Jan 10:30
2,000 of clean        waiting                  for corpus/domain
eval_report           waiting                  for evaluation/base.json and 1 more
"""


@pytest.mark.parametrize(("width", "shown"), [(80, NARROW), (140, WIDE)])
def test_the_table(width: int, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(width=width, highlight=False, force_terminal=False)
    monkeypatch.setattr(output, "console", console)
    view = View(NOW, None, 12, 3, ROWS, Queue("f", [], NOW - 24, "It does not answer."))
    with console.capture() as captured:
        for part in _parts(view, Workspace.here(), None):
            console.print(part)
    assert [line.rstrip() for line in captured.get().splitlines()] == shown.strip().splitlines()


def test_rows_without_room_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(width=140, highlight=False, force_terminal=False)
    monkeypatch.setattr(output, "console", console)
    with console.capture() as captured:
        for part in _parts(View(NOW, None, 12, 3, ROWS, None), Workspace.here(), 14):
            console.print(part)
    assert captured.get().splitlines()[-1] == "and 2,001 more"
