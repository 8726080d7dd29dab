"""How far a run has come, seen from outside: one row for each artifact that is planned and not there.

Read are the plan and its marks, the notes of running steps, the run's own record, and the cluster's queue if the run
uses one. Nothing is locked or written.
"""

import socket
import time
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tapeout.graph.errors import UnreadableState
from tapeout.graph.identity.action import Recipe
from tapeout.graph.plan.rates import granted
from tapeout.graph.run.plan_progress import Planned
from tapeout.graph.run.run_record import Course, Failure
from tapeout.graph.run.step_progress import read_notes
from tapeout.graph.workspace import Workspace
from tapeout.slurm.client import SLURM, Job, SlurmUnavailable, live_jobs

LINE = "    | "
"""How a line of a log begins that is shown with an error."""
RUNNER = b"tapeout.graph.run.runner"
"""What the command line of a process that carries out a step holds."""


class Standing(StrEnum):
    """Where a step stands, in the words that people see; first what needs their eyes."""

    RUNNING = "running"
    STARTING = "starting"
    UNSEEN = "not seen"
    FAILED = "failed"
    ENDED = "ended"
    REQUEUED = "requeued"
    QUEUED = "queued"
    READY = "ready"
    WAITING = "waiting"
    TO_DO = "to do"


RANK = {standing: place for place, standing in enumerate(Standing)}


@dataclass
class Row:
    """One artifact that is planned and not there.

    Attributes:
        reason: why it is not running: of Slurm, or what it waits for.
        waits_for: inputs that are still to be made.
        gpus: that its job holds, or wants.
        values: what its program last said beside ``done`` of ``total``.
        remaining: seconds; reckoned from the forecast if its program does not tell (``guessed``).
        start: when Slurm expects it to start, as Slurm writes it.
        seen: when its program last spoke, seconds since 1970.
    """

    artifact: str
    rule: str
    standing: Standing
    reason: str = ""
    waits_for: list[str] = field(default_factory=list)
    job: str = ""
    node: str = ""
    gpus: int = 0
    done: int | None = None
    total: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    remaining: float | None = None
    guessed: bool = False
    start: str = ""
    seen: float | None = None


@dataclass
class Queue:
    """The cluster's queue as it was last seen; the controller may be away.

    Attributes:
        jobs: None until it has answered once.
        asked: when it answered, seconds since 1970.
        trouble: why it does not answer now.
    """

    folder: str
    jobs: list[Job] | None = None
    asked: float | None = None
    trouble: str = ""

    def refresh(self, seconds: float) -> None:
        """Ask again; keep what is known if there is no answer within so many seconds."""
        try:
            self.jobs = live_jobs(self.folder, seconds)
        except SlurmUnavailable as error:
            self.trouble = error.cause
            return
        self.asked, self.trouble = time.time(), ""


@dataclass(frozen=True)
class View:
    """A run at one moment.

    Attributes:
        course: the last run; None if there was none since the results were begun.
        there: artifacts of the plan that were there before.
        made: planned ones that are there by now.
        queue: None if the run uses no cluster.
    """

    now: float
    course: Course | None
    there: int
    made: int
    rows: list[Row]
    queue: Queue | None

    @property
    def alive(self) -> bool:
        """Whether a run is under way."""
        return self.course is not None and self.course.alive

    @property
    def failed(self) -> bool:
        """Whether the last run ended before everything was there."""
        return self.course is not None and not self.course.alive and any(self.of_this_run(row) for row in self.rows)

    def of_this_run(self, row: Row) -> bool:
        """Whether the last run set out to make it."""
        return self.course is not None and row.artifact in self.course.seconds


@dataclass
class Watch:
    """Looks at a folder again and again, and remembers what cannot change."""

    workspace: Workspace
    folder: str = field(default_factory=lambda: str(Path.cwd()))
    queue: Queue | None = None
    planned: Planned | None = None
    identity: tuple[Any, ...] = ()

    def look(self) -> View:
        """The run at this moment."""
        course, notes = Course.read(self.workspace), read_notes(self.workspace.work)
        planned = self._planned(course)
        if self.queue is None and (any(note["job"] for note in notes) or (course and course.executor == SLURM)):
            self.queue = Queue(self.folder)
        made = planned.done()
        rows = _Rows(self.workspace, planned, course, notes, self.queue).all()
        there = len(planned.artifacts) - len(planned.recipes)
        return View(time.time(), course, there, len(made), rows, self.queue)

    def _planned(self, course: Course | None) -> Planned:
        """The plan; a new one when it was written anew, or a new run has begun."""
        path = self.workspace.plan_path
        plan = (path.stat().st_mtime_ns, path.stat().st_ino) if path.exists() else ()
        identity = (*plan, course.run if course else None)
        if self.planned is None or identity != self.identity:
            self.planned, self.identity = Planned(self.workspace), identity
        return self.planned


class _Rows:
    """The rows of one moment."""

    def __init__(
        self,
        workspace: Workspace,
        planned: Planned,
        course: Course | None,
        notes: list[dict[str, Any]],
        queue: Queue | None,
    ) -> None:
        self.workspace, self.planned, self.course, self.queue = workspace, planned, course, queue
        self.now = time.time()
        self.answered = queue is not None and queue.jobs is not None and not queue.trouble
        self.alive = course is not None and course.alive
        self.failures = {failure.artifact: failure for failure in course.failures} if course else {}
        self.left = {name: recipe for name, recipe in planned.recipes.items() if name not in planned.made}
        self.notes = {note["artifact"]: note for note in notes if self._wanted(note)}
        self.jobs = self._assigned(queue.jobs or [] if queue else [])

    def _wanted(self, note: dict[str, Any]) -> bool:
        """Whether a note is of the action that the plan has for its artifact."""
        if note["artifact"] not in self.left:
            return False
        try:
            return self.workspace.action(note["artifact"]).digest == note["action"]
        except UnreadableState:
            return False

    def _assigned(self, jobs: list[Job]) -> dict[str, Job]:
        """The newest job of each artifact that is to be made, by its note, else by the executor's comment."""
        by_comment: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, recipe in self.left.items():
            by_comment[recipe.rule, "_".join(recipe.wildcards).replace("/", "_")].append(name)
        noted = {note["job"]: name for name, note in self.notes.items() if note["job"]}
        found: dict[str, Job] = {}
        for job in jobs:
            alike = by_comment[job.rule or "", job.wildcards]
            free = next((name for name in alike if name not in found), alike[-1] if alike else None)
            if (known := noted.get(job.id) or free) is not None:
                found[known] = job
        return found

    def all(self) -> list[Row]:
        """Running ones first, and in the order in which they are made."""
        rows = [self._row(name, recipe) for name, recipe in self.left.items()]
        return sorted(rows, key=lambda row: (RANK[row.standing], self.planned.depth[row.artifact], row.artifact))

    def _row(self, name: str, recipe: Recipe) -> Row:
        note, job = self.notes.get(name), self.jobs.get(name)
        if job is not None:
            return self._of_job(name, recipe, job, note)
        if note is not None and "failed" not in note and self._breathes(note):
            return self._of_note(name, recipe, Standing.RUNNING, note)
        said_so = name in self.failures or "failed" in (note or {})
        if note is not None and note["job"] and not self.answered and not said_so:
            return self._of_note(name, recipe, Standing.UNSEEN, note)
        if name in self.failures or self._of_this_run(note):
            standing = Standing.FAILED if said_so else Standing.ENDED
            reason = "" if standing is Standing.FAILED else "without a result"
            found = Row(name, recipe.rule, standing, reason)
            if note is not None:
                found.job, found.node = str(note["job"]), str(note["node"])
                found.done, found.total = note.get("done"), note.get("total")
            return found
        lacking = self.planned.lacks(name)
        if lacking:
            return Row(name, recipe.rule, Standing.WAITING if self.alive else Standing.TO_DO, waits_for=lacking)
        return Row(name, recipe.rule, Standing.READY if self.alive else Standing.TO_DO)

    def _of_job(self, name: str, recipe: Recipe, job: Job, note: dict[str, Any] | None) -> Row:
        same = note is not None and note["job"] == job.id
        if job.state == "PENDING":
            row = Row(name, recipe.rule, Standing.REQUEUED if same else Standing.QUEUED)
            row.reason = job.reason if job.reason != "None" else ""
            row.start = job.start if job.start != "N/A" else ""
        elif note is not None and same and job.state == "RUNNING" and "failed" not in note:
            row = self._of_note(name, recipe, Standing.RUNNING, note)
        else:
            row = Row(name, recipe.rule, Standing.STARTING)
            row.reason = "" if job.state in ("RUNNING", "CONFIGURING") else job.state.lower()
            if same or job.state not in ("RUNNING", "CONFIGURING"):
                row.standing = Standing.RUNNING
        row.job, row.node, row.gpus = job.id, job.nodes, job.gpus_in_all
        return row

    def _of_note(self, name: str, recipe: Recipe, standing: Standing, note: dict[str, Any]) -> Row:
        remaining = note.get("remaining")
        guessed = remaining is None and note.get("done") is None
        if guessed and self.course is not None and (seconds := self.course.seconds.get(name)) is not None:
            remaining = seconds - (self.now - note["begun"])
        elif remaining is not None:
            remaining = max(0.0, remaining - max(0.0, self.now - note["time"]))
        return Row(
            name,
            recipe.rule,
            standing,
            job=note["job"],
            node=note["node"] or note["host"],
            gpus=granted(recipe.resources),
            done=note.get("done"),
            total=note.get("total"),
            values=note.get("values", {}),
            remaining=remaining if remaining is None or remaining >= 0 else None,  # overdue: nobody knows
            guessed=guessed,
            seen=note["time"],
        )

    def _breathes(self, note: dict[str, Any]) -> bool:
        """Whether the process that left a note is there; one on another host is, for all one knows, as its run is."""
        if note["job"]:
            return False  # its job is not in the queue, or nobody knows
        if note["host"] != socket.gethostname():
            return self.alive and self._of_this_run(note)
        try:
            return RUNNER in Path(f"/proc/{note['pid']}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _of_this_run(self, note: dict[str, Any] | None) -> bool:
        return note is not None and self.course is not None and note["begun"] >= self.course.begun


def reasons(view: View, work: Path) -> list[Failure]:
    """What failed and is not there: what was said of it, or what the step itself said, if that is more."""
    notes = {note["artifact"]: note for note in read_notes(work) if "failed" in note}
    told = {failure.artifact: failure for failure in view.course.failures} if view.course is not None else {}
    found = []
    for row in view.rows:
        name, failure = row.artifact, told.get(row.artifact)
        if row.standing is Standing.FAILED and name in notes and (failure is None or not failure.job):
            job = notes[name]["job"]
            found.append(Failure(name, f"✗ {name}{f'  job {job}' if job else ''}  {notes[name]['failed']}", job=job))
        elif failure is not None:
            found.append(failure)
    return found


def tail(failure: Failure, lines: int) -> list[str]:
    """The last lines of the log of a job that failed, if what is said of it does not show them."""
    if LINE in failure.text or not failure.log or not Path(failure.log).exists():
        return []
    return [f"{LINE}{line}" for line in Path(failure.log).read_text(errors="replace").rstrip().splitlines()[-lines:]]
