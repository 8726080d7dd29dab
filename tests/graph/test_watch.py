"""What ``tapeout top`` knows of a run: from plan, marks, notes, the run's record and the queue."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tapeout.graph.run.step_progress import NOTE

from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.plan.decide import Decision, families, mark
from tapeout.graph.plan.forecast import Forecast, Origin, Step, Totals
from tapeout.graph.run.monitor import Queue, Row, Standing, View, Watch, reasons, tail
from tapeout.graph.run.run_record import Course, Failure, started
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import State, Workspace
from tapeout.slurm.client import SLURM, Job

GONE = 2**22 + 1
"""No process has this number."""
NEEDS = {
    "raw": [],
    "words": ["raw"],
    "model": ["words"],
    "notes/de": [],
    "notes/en": [],
    "report": ["model", "notes/de"],
}
WILDCARDS = {"notes/de": ("de",), "notes/en": ("en",)}
TOTALS = Totals(5, 100.0, 100.0, 0.1, 0.0, 0.0, 0, 0)


class Folder:
    """A folder after the layer has decided: ``raw`` is there, the rest is to be made."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(Store(root / "store"), root / "results", root / "work", root / "runs")
        self.recipes = {
            name: Recipe(
                *(name, "notes" if name in WILDCARDS else name, "s.py", {}, "light", "e", {}),
                {need: Reference(need) for need in needs},
                {"gres": "gpu:8", "nodes": 2} if name == "model" else {},
                wildcards=WILDCARDS.get(name, ()),
            )
            for name, needs in NEEDS.items()
        }
        self.watch = Watch(self.workspace, str(root))
        self.decide({"raw": State.CURRENT, "words": State.BUILD, "notes/de": State.BUILD, "notes/en": State.BUILD})

    def decide(self, states: dict[str, State], forced: tuple[str, ...] = ()) -> None:
        decisions = [
            Decision(
                recipe,
                state := states.get(name, State.WAITING),
                self.action(name) if state.value != "waiting" else None,
            )
            for name, recipe in self.recipes.items()
        ]
        decisions = [
            replace(one, waits_for=tuple(one.recipe.dependencies())) if one.state is State.WAITING else one
            for one in decisions
        ]
        together = families(decisions)
        self.workspace.write_plan(self.recipes, list(forced), together, Launch())
        mark(self.workspace, decisions, together)

    def action(self, name: str) -> Any:
        return self.recipes[name].action(lambda need: Manifest(need, "a", "file", (Entry("", False, 1, "d"),)))

    def resolve(self, name: str, state: State = State.BUILD) -> None:
        """As the checkpoint does."""
        self.workspace.mark(name, state, self.action(name))
        self.workspace.mark_family(name, resolved=True)

    def begin(self, **more: Any) -> Course:
        """As the layer does when a run begins."""
        steps = [
            Step(name, name, State.BUILD, True, (), 100.0, Origin.RULE, "", 1, 0, 0, None, 0, 0, Origin.RULE)
            for name in NEEDS
            if name != "raw"
        ]
        cost = Forecast({}, (), 0, 0, tuple(steps), {}, TOTALS, TOTALS)
        course = replace(Course.new("local", ["report"], cost), begun=time.time() - 60, **more)
        course.write(self.workspace)
        return course

    def note(self, name: str, **more: Any) -> None:
        """As a running step does."""
        folder = self.workspace.work / self.action(name).digest
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        known = {"artifact": name, "pid": os.getpid(), "host": socket.gethostname(), "node": "", "job": "", "before": 0}
        (folder / NOTE).write_text(json.dumps(known | {"begun": now - 30, "time": now} | more))

    def look(self, *jobs: Job, trouble: str = "") -> dict[str, Row]:
        self.watch.queue = Queue(self.watch.folder, list(jobs), time.time(), trouble) if jobs or trouble else None
        return {row.artifact: row for row in self.view().rows}

    def view(self) -> View:
        return self.watch.look()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def job(number: int, rule: str, state: str = "RUNNING", **more: str) -> Job:
    known = {"reason": "None", "nodes": "gpu1", "count": "1", "left": "10:00", "start": "N/A", "gres": "gres:gpu:8"}
    return Job(id=str(number), state=state, name="x", comment=f"rule_{rule}", folder="f", **(known | more))


def test_what_is_there_is_no_row_and_what_waits_says_for_what(folder: Folder) -> None:
    folder.begin()
    rows = folder.look()
    assert sorted(rows) == ["model", "notes/de", "notes/en", "report", "words"]
    assert rows["words"].standing is Standing.READY
    assert (rows["model"].standing, rows["model"].waits_for) == (Standing.WAITING, ["words"])
    assert rows["report"].waits_for == ["model", "notes/de"]
    assert (folder.view().there, folder.view().made) == (1, 0)


def test_without_a_run_nothing_is_under_way(folder: Folder) -> None:
    assert {row.standing for row in folder.look().values()} == {Standing.TO_DO}
    assert not folder.view().alive and not folder.view().failed


def test_what_is_built_cut_off_or_forced_leaves_the_table_when_it_is_done(folder: Folder) -> None:
    folder.begin()
    folder.workspace.mark_sealed("words")
    rows = folder.look()
    assert "words" not in rows and rows["model"].standing is Standing.READY
    folder.resolve("model")
    assert folder.look()["model"].standing is Standing.READY
    folder.resolve("report", State.CURRENT)
    assert "report" in folder.look(), "it waits for model, so that nobody can have resolved it"
    folder.workspace.mark_sealed("model")
    folder.workspace.mark_sealed("notes/de")
    assert sorted(folder.look()) == ["notes/en"]
    folder.decide(dict.fromkeys(NEEDS, State.CURRENT), forced=("words",))
    assert sorted(folder.look()) == ["words"]
    folder.workspace.mark_sealed("words")
    assert folder.look() == {}


def test_a_step_that_runs_here_is_told_from_one_that_was_killed(folder: Folder) -> None:
    folder.begin()
    command = [sys.executable, "-c", "input()", "tapeout.graph.run.runner"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    folder.note("words", pid=process.pid, done=3, total=10, remaining=20.0, values={"loss": 2.5})
    folder.note("notes/de", pid=process.pid)
    folder.note("notes/en", pid=GONE, done=9, total=10, remaining=1.0, values={})
    rows = folder.look()
    process.communicate()
    assert (rows["words"].standing, rows["words"].done, rows["words"].values) == (Standing.RUNNING, 3, {"loss": 2.5})
    assert rows["words"].remaining is not None and rows["words"].remaining <= 20 and not rows["words"].guessed
    told = rows["notes/de"].remaining
    assert rows["notes/de"].guessed and told is not None and 0 < told < 71, "of 100 s by the forecast, begun 30 s ago"
    assert (rows["notes/en"].standing, rows["notes/en"].remaining) == (Standing.ENDED, None)
    assert folder.look()["words"].standing is Standing.ENDED
    folder.note("words", pid=os.getpid())
    assert folder.look()["words"].standing is Standing.ENDED, "this process is no runner"
    folder.note("words", pid=GONE, begun=time.time() - 3600)
    assert folder.look()["words"].standing is Standing.READY, "killed in an earlier run"


def test_notes_of_another_action_or_of_none_are_passed_over(folder: Folder) -> None:
    folder.begin()
    folder.note("words", job="7")
    note = folder.workspace.work / folder.action("words").digest
    note.rename(note.with_name("an_older_action"))
    (folder.workspace.work / "x").mkdir()
    (folder.workspace.work / "x" / NOTE).write_text("{")
    assert folder.look(job(7, "other"))["words"].standing is Standing.READY


def test_jobs_are_found_by_rule_and_wildcards_and_by_their_notes(folder: Folder) -> None:
    folder.begin(executor=SLURM)
    folder.note("words", job="4", node="gpu2", done=1, total=2, remaining=5.0, values={"tokens_per_second": 12345})
    folder.workspace.mark_sealed("words")
    folder.resolve("model")
    folder.note("model", job="3", node="gpu1", done=5, total=9, remaining=60.0, values={})
    rows = folder.look(
        job(3, "model", nodes="gpu[1-2]", count="2"),
        job(5, "notes_wildcards_de", "PENDING", reason="Priority", start="2030-01-01T10:00:00", nodes=""),
        job(6, "notes_wildcards_en"),
        job(9, "of_an_older_plan"),
    )
    model, german, english = rows["model"], rows["notes/de"], rows["notes/en"]
    assert (model.standing, model.job, model.node, model.gpus, model.done) == (Standing.RUNNING, "3", "gpu[1-2]", 16, 5)
    assert (german.standing, german.reason, german.start) == (Standing.QUEUED, "Priority", "2030-01-01T10:00:00")
    assert (english.standing, english.job) == (Standing.STARTING, "6"), "its program has said nothing yet"


def test_a_job_that_went_back_into_the_queue_is_not_shown_as_running(folder: Folder) -> None:
    folder.begin(executor=SLURM)
    folder.note("words", job="4", node="gpu2", done=1, total=2, remaining=5.0, values={})
    rows = folder.look(job(4, "words", "PENDING", reason="BeginTime", nodes=""))
    assert (rows["words"].standing, rows["words"].done, rows["words"].node) == (Standing.REQUEUED, None, "")
    rows = folder.look(job(4, "words", "COMPLETING"))
    assert (rows["words"].standing, rows["words"].reason) == (Standing.RUNNING, "completing")
    rows = folder.look(job(8, "other"))
    assert rows["words"].standing is Standing.ENDED, "the job is gone and left nothing"


def test_while_the_controller_is_away_nothing_is_said_to_have_ended(folder: Folder) -> None:
    folder.begin(executor=SLURM)
    folder.note("words", job="4", node="gpu2", done=1, total=2, remaining=5.0, values={})
    assert folder.look(trouble="It does not answer.")["words"].standing is Standing.UNSEEN
    folder.watch.queue = Queue(folder.watch.folder)
    assert folder.view().rows[0].standing is Standing.UNSEEN, "nobody has asked yet"


def test_a_run_ends_failed_killed_or_well(folder: Folder) -> None:
    course = folder.begin()
    assert folder.view().alive and not folder.view().failed
    log = folder.workspace.work / "words.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("first\nlast\n")
    failed = course.with_failure(Failure("words", "✗ words did not finish", str(log)))
    failed.write(folder.workspace)
    assert folder.look()["words"].standing is Standing.FAILED
    (told,) = reasons(folder.view(), folder.workspace.work)
    assert told.text == "✗ words did not finish" and tail(told, 1) == ["    | last"]
    folder.note("words", pid=GONE, failed="StepFailed: it did.\n  fix: do not.")
    (told,) = reasons(folder.view(), folder.workspace.work)
    assert told.text == "✗ words  StepFailed: it did.\n  fix: do not."
    replace(failed, ended=time.time()).write(folder.workspace)
    assert folder.view().failed and not folder.view().alive
    folder.workspace.mark_sealed("words")
    assert reasons(folder.view(), folder.workspace.work) == [], "it was made in the end"

    replace(course, pid=GONE).write(folder.workspace)
    assert not folder.view().alive and folder.view().failed
    replace(course, since=course.since + 1).write(folder.workspace)
    assert not folder.view().alive, "another process has that number now"
    replace(course, pid=GONE, host="elsewhere").write(folder.workspace)
    assert folder.view().alive, "nobody here can know"
    for name in NEEDS:
        folder.resolve(name, State.CURRENT)
    replace(course, ended=time.time()).write(folder.workspace)
    assert folder.view().rows == [] and not folder.view().failed


def test_what_a_step_said_is_shown_though_its_run_was_killed(folder: Folder) -> None:
    replace(folder.begin(), pid=GONE).write(folder.workspace)
    folder.note("words", job="5", pid=GONE, failed="StepFailed: it did.")
    (told,) = reasons(folder.view(), folder.workspace.work)
    assert told.text == "✗ words  job 5  StepFailed: it did."


def test_a_plan_that_was_written_anew_is_read_anew(folder: Folder) -> None:
    folder.begin()
    folder.workspace.mark_sealed("words")
    assert "words" not in folder.look()
    folder.decide(dict.fromkeys(NEEDS, State.BUILD))
    assert "raw" in folder.look() and folder.look()["words"].waits_for == ["raw"]


def test_looking_changes_nothing(folder: Folder, tmp_path: Path) -> None:
    folder.begin()
    folder.note("words", pid=GONE)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    folder.look()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_process_is_known_by_when_it_was_started() -> None:
    assert started(os.getpid()) is not None and started(GONE) is None
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert started(child.pid) is None, "ended, and only not yet asked for"
    child.wait()
