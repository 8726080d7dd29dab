"""View of a run from its plan, marks, progress files, record and queue."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tapeout.graph.launch.process import start_time
from tapeout.graph.run.monitor import Queue, StepStatus, collect_failures, log_tail
from tapeout.graph.run.progress import PROGRESS, PlanProgress
from tapeout.graph.run.run_record import Failure
from tapeout.graph.workspace import State
from tapeout.slurm.client import SLURM, Job
from tests.graph.run.planned_run import NEEDS, PlannedRun

NO_PROCESS = 2**22 + 1
"""Larger than any process id."""
KEYS = ("recipes", "forced", "batches")


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    return PlannedRun(tmp_path)


def job(number: int, rule: str, state: str = "RUNNING", **more: str) -> Job:
    known = {"reason": "None", "nodes": "gpu1", "count": "1", "left": "10:00", "start": "N/A", "gres": "gres:gpu:8"}
    return Job(id=str(number), state=state, name="x", comment=f"rule_{rule}", folder="f", **(known | more))


def test_existing_artifacts_have_no_row_and_waiting_ones_name_their_inputs(run: PlannedRun) -> None:
    run.begin()
    rows = run.rows()
    assert sorted(rows) == ["model", "notes/de", "notes/en", "report", "words"]
    assert rows["words"].status is StepStatus.READY
    assert (rows["model"].status, rows["model"].waits_for) == (StepStatus.WAITING, ["words"])
    assert rows["report"].waits_for == ["model", "notes/de"]
    assert (run.view().existing, run.view().completed) == (1, 0)


def test_without_a_run_every_step_is_to_do(run: PlannedRun) -> None:
    assert {row.status for row in run.rows().values()} == {StepStatus.TO_DO}
    assert not run.view().alive and not run.view().failed


def test_a_row_disappears_when_its_artifact_is_built_cut_off_or_rebuilt_by_force(run: PlannedRun) -> None:
    run.begin()
    run.workspace.mark_sealed("words")
    rows = run.rows()
    assert "words" not in rows and rows["model"].status is StepStatus.READY
    run.resolve("model")
    assert run.rows()["model"].status is StepStatus.READY
    run.resolve("report", State.CURRENT)
    assert "report" in run.rows(), "it waits for model, so that nothing can have resolved it"
    run.workspace.mark_sealed("model")
    run.workspace.mark_sealed("notes/de")
    assert sorted(run.rows()) == ["notes/en"]
    run.decide(dict.fromkeys(NEEDS, State.CURRENT), forced=("words",))
    assert sorted(run.rows()) == ["words"]
    run.workspace.mark_sealed("words")
    assert run.rows() == {}


def test_a_step_runs_while_the_process_that_wrote_its_progress_exists(run: PlannedRun) -> None:
    run.begin()
    # a process is identified by id and start time, which are known as soon as it is forked
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run.progress("words", process.pid, done=3, total=10, remaining=20.0, values={"loss": 2.5})
    run.progress("notes/de", process.pid)
    run.progress("notes/en", NO_PROCESS, done=9, total=10, remaining=1.0, values={})
    rows = run.rows()
    process.communicate()
    words, german, english = rows["words"], rows["notes/de"], rows["notes/en"]
    assert (words.status, words.done, words.values) == (StepStatus.RUNNING, 3, {"loss": 2.5})
    assert words.remaining is not None and words.remaining <= 20 and not words.estimated
    assert german.remaining is not None and german.estimated
    assert 0 < german.remaining < 71, "forecast of 100 s, began 30 s ago"
    assert (english.status, english.remaining) == (StepStatus.ENDED, None)
    assert run.rows()["words"].status is StepStatus.ENDED
    run.progress("words", started=time.time() - 3600)
    assert run.rows()["words"].status is StepStatus.RUNNING, "of an earlier run, which was killed; the step was not"
    run.progress("words", start_ticks=1)
    assert run.rows()["words"].status is StepStatus.ENDED, "another process has this id now"
    run.progress("words", NO_PROCESS, started=time.time() - 3600)
    assert run.rows()["words"].status is StepStatus.READY, "killed in an earlier run"


def test_progress_of_another_action_and_damaged_files_are_ignored(run: PlannedRun) -> None:
    run.begin()
    run.progress("words", job="7")
    folder = run.workspace.work / run.action("words").digest
    folder.rename(folder.with_name("an_older_action"))
    (run.workspace.work / "x").mkdir()
    (run.workspace.work / "x" / PROGRESS).write_text("{")
    for number, older in enumerate(({"artifact": "words"}, [], {"artifact": "words", "time": 1.0})):
        (run.workspace.work / str(number)).mkdir()
        (run.workspace.work / str(number) / PROGRESS).write_text(json.dumps(older))
    assert run.rows(job(7, "other"))["words"].status is StepStatus.READY


def test_jobs_are_assigned_by_progress_files_or_by_rule_and_wildcards(run: PlannedRun) -> None:
    run.begin(executor=SLURM)
    run.progress("words", job="4", node="gpu2", done=1, total=2, remaining=5.0, values={"tokens_per_second": 12345})
    run.workspace.mark_sealed("words")
    run.resolve("model")
    run.progress("model", job="3", node="gpu1", done=5, total=9, remaining=60.0, values={})
    rows = run.rows(
        job(3, "model", nodes="gpu[1-2]", count="2"),
        job(5, "notes_wildcards_de", "PENDING", reason="Priority", start="2030-01-01T10:00:00", nodes=""),
        job(6, "notes_wildcards_en"),
        job(9, "of_an_older_plan"),
    )
    model, german, english = rows["model"], rows["notes/de"], rows["notes/en"]
    assert (model.status, model.job, model.node, model.gpus, model.done) == (StepStatus.RUNNING, "3", "gpu[1-2]", 16, 5)
    assert (german.status, german.reason, german.start) == (StepStatus.QUEUED, "Priority", "2030-01-01T10:00:00")
    assert (english.status, english.job) == (StepStatus.STARTING, "6"), "its program has not reported yet"


def test_a_requeued_job_is_not_shown_as_running(run: PlannedRun) -> None:
    run.begin(executor=SLURM)
    run.progress("words", job="4", node="gpu2", done=1, total=2, remaining=5.0, values={})
    rows = run.rows(job(4, "words", "PENDING", reason="BeginTime", nodes=""))
    assert (rows["words"].status, rows["words"].done, rows["words"].node) == (StepStatus.REQUEUED, None, "")
    rows = run.rows(job(4, "words", "COMPLETING"))
    assert (rows["words"].status, rows["words"].reason) == (StepStatus.RUNNING, "completing")
    rows = run.rows(job(8, "other"))
    assert rows["words"].status is StepStatus.ENDED, "the job is gone and left nothing"


def test_without_an_answer_of_the_controller_the_status_is_unknown(run: PlannedRun) -> None:
    run.begin(executor=SLURM)
    run.progress("words", job="4", node="gpu2", done=1, total=2, remaining=5.0, values={})
    assert run.rows(error="It does not answer.")["words"].status is StepStatus.UNKNOWN
    run.monitor.queue = Queue(run.monitor.folder)
    assert run.view().rows[0].status is StepStatus.UNKNOWN, "it was not asked yet"


def test_a_run_ends_failed_killed_or_complete(run: PlannedRun) -> None:
    record = run.begin()
    assert run.view().alive and not run.view().failed
    log = run.workspace.work / "words.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("first\nlast\n")
    failed = record.with_failure(Failure("words", "✗ words did not finish", str(log)))
    failed.write(run.workspace)
    assert run.rows()["words"].status is StepStatus.FAILED
    (failure,) = collect_failures(run.view(), run.workspace.work)
    assert failure.text == "✗ words did not finish" and log_tail(failure, 1) == ["    | last"]
    run.progress("words", NO_PROCESS, error="StepFailed: it did.\n  fix: do not.")
    (failure,) = collect_failures(run.view(), run.workspace.work)
    assert failure.text == "✗ words  StepFailed: it did.\n  fix: do not."
    replace(failed, ended=time.time()).write(run.workspace)
    assert run.view().failed and not run.view().alive
    run.workspace.mark_sealed("words")
    assert collect_failures(run.view(), run.workspace.work) == [], "it was built in the end"

    replace(record, pid=NO_PROCESS).write(run.workspace)
    assert not run.view().alive and run.view().failed
    replace(record, start_ticks=record.start_ticks + 1).write(run.workspace)
    assert not run.view().alive, "another process has this id now"
    replace(record, pid=NO_PROCESS, host="elsewhere").write(run.workspace)
    assert run.view().alive, "a process on another host cannot be checked"
    for name in NEEDS:
        run.resolve(name, State.CURRENT)
    replace(record, ended=time.time()).write(run.workspace)
    assert run.view().rows == [] and not run.view().failed


def test_the_error_of_a_step_is_shown_although_its_run_was_killed(run: PlannedRun) -> None:
    replace(run.begin(), pid=NO_PROCESS).write(run.workspace)
    run.progress("words", NO_PROCESS, job="5", error="StepFailed: it did.")
    (failure,) = collect_failures(run.view(), run.workspace.work)
    assert failure.text == "✗ words  job 5  StepFailed: it did."


def test_a_rewritten_plan_is_read_again(run: PlannedRun) -> None:
    run.begin()
    run.workspace.mark_sealed("words")
    assert "words" not in run.rows()
    run.decide(dict.fromkeys(NEEDS, State.BUILD))
    assert "raw" in run.rows() and run.rows()["words"].waits_for == ["raw"]


def test_a_plan_of_an_older_version_counts_as_none(run: PlannedRun) -> None:
    run.begin()
    plan = json.loads(run.workspace.plan_path.read_bytes())
    words = {name: value for name, value in plan["recipes"]["words"].items() if name != "script"}
    older = [{**plan, "recipes": {**plan["recipes"], "words": words}}, {**plan, "recipes": {}}, []]
    for content in [*older, *({name: value for name, value in plan.items() if name != key} for key in KEYS)]:
        run.workspace.plan_path.write_text(json.dumps(content))
        assert not PlanProgress(run.workspace).artifacts and not run.rows()


def test_a_view_writes_nothing(run: PlannedRun, tmp_path: Path) -> None:
    run.begin()
    run.progress("words", NO_PROCESS)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run.rows()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_ended_process_has_no_start_time() -> None:
    assert start_time(os.getpid()) is not None and start_time(NO_PROCESS) is None
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) is None, "a zombie"
    child.wait()
