"""View of a run from outside: one row per artifact that is planned and not done.

It is read from the plan and its marks, the progress files of running steps, the run's record, and the cluster's queue
if the run uses one. Nothing is locked or written.
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
from tapeout.graph.launch.process import start_time
from tapeout.graph.plan.rates import allocated_gpus
from tapeout.graph.run.progress import PlanProgress, read_steps
from tapeout.graph.run.run_record import Failure, RunRecord
from tapeout.graph.workspace import Workspace
from tapeout.slurm.client import SLURM, Job, SlurmUnavailable, live_jobs

LOG_PREFIX = "    | "
"""Prefix of lines of a log that are shown with an error."""


class StepStatus(StrEnum):
    """Status of a step, as shown to users; what needs their attention comes first."""

    RUNNING = "running"
    STARTING = "starting"
    UNKNOWN = "unknown"
    FAILED = "failed"
    ENDED = "ended"
    REQUEUED = "requeued"
    QUEUED = "queued"
    READY = "ready"
    WAITING = "waiting"
    TO_DO = "to do"


RANK = {status: rank for rank, status in enumerate(StepStatus)}


@dataclass
class Row:
    """An artifact that is planned and not done.

    Attributes:
        artifact: its name.
        rule: rule that makes it.
        status: status of its step.
        reason: why it does not run: Slurm's pending reason, or how its job ended.
        waits_for: inputs that are not done.
        job: number of its job in the cluster; empty if it has none.
        node: node or host that it runs on.
        gpus: number of GPUs that its job has or requests.
        done: completed units of ``total``, as its program reported.
        total: total units.
        values: further values that its program reported.
        remaining: remaining seconds; None if unknown.
        estimated: whether ``remaining`` is computed from the forecast instead of the program's progress.
        start: when Slurm expects it to start, as Slurm prints it.
        updated: when its program last reported, in seconds since 1970.
    """

    artifact: str
    rule: str
    status: StepStatus
    reason: str = ""
    waits_for: list[str] = field(default_factory=list)
    job: str = ""
    node: str = ""
    gpus: int = 0
    done: int | None = None
    total: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    remaining: float | None = None
    estimated: bool = False
    start: str = ""
    updated: float | None = None


@dataclass
class Queue:
    """The cluster's queue at the last answer of the controller, which may be away.

    Attributes:
        folder: folder of the run.
        jobs: jobs of the run; None until the controller has answered once.
        answered: when it answered, in seconds since 1970.
        error: why it does not answer now; empty if it does.
    """

    folder: str
    jobs: list[Job] | None = None
    answered: float | None = None
    error: str = ""

    @property
    def current(self) -> bool:
        """True if ``jobs`` is the answer to the last query."""
        return self.jobs is not None and not self.error

    def refresh(self, seconds: float) -> None:
        """Query the controller; keep the last answer if it does not answer within ``seconds``."""
        try:
            self.jobs = live_jobs(self.folder, seconds)
        except SlurmUnavailable as error:
            self.error = error.cause
            return
        self.answered, self.error = time.time(), ""


@dataclass(frozen=True)
class View:
    """A run at one moment.

    Attributes:
        now: the moment, in seconds since 1970.
        record: the latest run; None if there was none since the results folder was created.
        existing: number of artifacts of the plan that existed before.
        completed: number of planned artifacts that are done.
        rows: planned artifacts that are not done.
        queue: the cluster's queue; None if the run uses no cluster.
    """

    now: float
    record: RunRecord | None
    existing: int
    completed: int
    rows: list[Row]
    queue: Queue | None

    @property
    def alive(self) -> bool:
        """True if a run is in progress."""
        return self.record is not None and self.record.alive

    @property
    def failed(self) -> bool:
        """True if the latest run ended before all its artifacts were done."""
        if self.record is None or self.record.alive:
            return False
        return any(row.artifact in self.record.seconds for row in self.rows)


@dataclass
class Monitor:
    """Observer of a folder, which caches what cannot change between two views."""

    workspace: Workspace
    folder: str = field(default_factory=lambda: str(Path.cwd()))
    queue: Queue | None = None
    plan: PlanProgress | None = None
    plan_identity: tuple[Any, ...] = ()

    def view(self) -> View:
        """Return the run at this moment."""
        record, steps = RunRecord.read(self.workspace), read_steps(self.workspace.work)
        plan = self._read_plan(record)
        if self.queue is None and (any(step["job"] for step in steps) or (record and record.executor == SLURM)):
            self.queue = Queue(self.folder)
        completed = plan.update()
        rows = _RowBuilder(self.workspace, plan, record, steps, self.queue).build_all()
        existing = len(plan.artifacts) - len(plan.recipes)
        return View(time.time(), record, existing, len(completed), rows, self.queue)

    def _read_plan(self, record: RunRecord | None) -> PlanProgress:
        """Return the plan; read it again if it was rewritten or a new run has started."""
        path = self.workspace.plan_path
        file = (path.stat().st_mtime_ns, path.stat().st_ino) if path.exists() else ()
        identity = (*file, record.run if record else None)
        if self.plan is None or identity != self.plan_identity:
            self.plan, self.plan_identity = PlanProgress(self.workspace), identity
        return self.plan


class _RowBuilder:
    """Builds the rows of one view."""

    def __init__(
        self,
        workspace: Workspace,
        plan: PlanProgress,
        record: RunRecord | None,
        steps: list[dict[str, Any]],
        queue: Queue | None,
    ) -> None:
        self.workspace, self.plan, self.record = workspace, plan, record
        self.now = time.time()
        self.queue_known = queue is not None and queue.current
        self.alive = record is not None and record.alive
        self.failures = {failure.artifact for failure in record.failures} if record else set()
        self.left = {name: recipe for name, recipe in plan.recipes.items() if name not in plan.completed}
        self.steps = {step["artifact"]: step for step in steps if self._is_planned(step)}
        self.jobs = self._assign(queue.jobs or [] if queue else [])

    def _is_planned(self, step: dict[str, Any]) -> bool:
        """Return whether a step works on the action that the plan has for its artifact."""
        if step["artifact"] not in self.left:
            return False
        try:
            return bool(self.workspace.action(step["artifact"]).digest == step["action"])
        except UnreadableState:
            return False

    def _assign(self, jobs: list[Job]) -> dict[str, Job]:
        """Return the newest job of each artifact, found by its progress file or else by the executor's comment."""
        by_comment: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, recipe in self.left.items():
            by_comment[recipe.rule, "_".join(recipe.wildcards).replace("/", "_")].append(name)
        by_number = {step["job"]: name for name, step in self.steps.items() if step["job"]}
        assigned: dict[str, Job] = {}
        for job in jobs:
            candidates = by_comment[job.rule or "", job.wildcards]
            free = next((name for name in candidates if name not in assigned), candidates[-1] if candidates else None)
            if (artifact := by_number.get(job.id) or free) is not None:
                assigned[artifact] = job
        return assigned

    def build_all(self) -> list[Row]:
        """Return all rows by status, then in build order."""
        rows = [self._build(name, recipe) for name, recipe in self.left.items()]
        return sorted(rows, key=lambda row: (RANK[row.status], self.plan.depth[row.artifact], row.artifact))

    def _build(self, name: str, recipe: Recipe) -> Row:
        step, job = self.steps.get(name), self.jobs.get(name)
        if job is not None:
            return self._with_job(name, recipe, job, step)
        if step is not None and "error" not in step and self._is_alive(step):
            return self._with_progress(name, recipe, StepStatus.RUNNING, step)
        failed = name in self.failures or "error" in (step or {})
        if step is not None and step["job"] and not self.queue_known and not failed:
            return self._with_progress(name, recipe, StepStatus.UNKNOWN, step)
        if name in self.failures or self._is_of_this_run(step):
            row = Row(name, recipe.rule, StepStatus.FAILED)
            if not failed:
                row.status, row.reason = StepStatus.ENDED, "without a result"
            if step is not None:
                row.job, row.node = str(step["job"]), str(step["node"])
                row.done, row.total = step.get("done"), step.get("total")
            return row
        missing = self.plan.missing_inputs(name)
        if not self.alive:
            return Row(name, recipe.rule, StepStatus.TO_DO, waits_for=missing)
        return Row(name, recipe.rule, StepStatus.WAITING if missing else StepStatus.READY, waits_for=missing)

    def _with_job(self, name: str, recipe: Recipe, job: Job, step: dict[str, Any] | None) -> Row:
        started_before = step is not None and step["job"] == job.id
        if job.state == "PENDING":
            row = Row(name, recipe.rule, StepStatus.REQUEUED if started_before else StepStatus.QUEUED)
            row.reason = job.reason if job.reason != "None" else ""
            row.start = job.start if job.start != "N/A" else ""
        elif step is not None and started_before and job.state == "RUNNING" and "error" not in step:
            row = self._with_progress(name, recipe, StepStatus.RUNNING, step)
        else:
            row = Row(name, recipe.rule, StepStatus.STARTING)
            row.reason = "" if job.state in ("RUNNING", "CONFIGURING") else job.state.lower()
            if started_before or job.state not in ("RUNNING", "CONFIGURING"):
                row.status = StepStatus.RUNNING
        row.job, row.node, row.gpus = job.id, job.nodes, job.gpus
        return row

    def _with_progress(self, name: str, recipe: Recipe, status: StepStatus, step: dict[str, Any]) -> Row:
        remaining = step.get("remaining")
        estimated = remaining is None and step.get("done") is None
        if estimated and self.record is not None and (seconds := self.record.seconds.get(name)) is not None:
            remaining = seconds - (self.now - step["started"])
        elif remaining is not None:
            remaining = max(0.0, remaining - max(0.0, self.now - step["time"]))
        return Row(
            name,
            recipe.rule,
            status,
            job=step["job"],
            node=step["node"] or step["host"],
            gpus=allocated_gpus(recipe.resources),
            done=step.get("done"),
            total=step.get("total"),
            values=step.get("values", {}),
            remaining=remaining if remaining is None or remaining >= 0 else None,  # unknown once it is overdue
            estimated=estimated,
            updated=step["time"],
        )

    def _is_alive(self, step: dict[str, Any]) -> bool:
        """Return whether the process of a step exists; on another host it is assumed to if its run is alive."""
        if step["job"]:
            return False  # the queue is asked about jobs, not their process
        if step["host"] != socket.gethostname():
            return self.alive and self._is_of_this_run(step)
        start = start_time(step["pid"])
        return start is not None and start == int(step["start_ticks"] or 0)

    def _is_of_this_run(self, step: dict[str, Any] | None) -> bool:
        return step is not None and self.record is not None and step["started"] >= self.record.started


def collect_failures(view: View, work: Path) -> list[Failure]:
    """Return the failures of artifacts that are not done.

    The error that a step recorded itself is preferred to Snakemake's message, unless that describes a cluster job.
    """
    errors = {step["artifact"]: step for step in read_steps(work) if "error" in step}
    reported = {failure.artifact: failure for failure in view.record.failures} if view.record is not None else {}
    failures = []
    for row in view.rows:
        name, failure = row.artifact, reported.get(row.artifact)
        if row.status is StepStatus.FAILED and name in errors and (failure is None or not failure.job):
            job = errors[name]["job"]
            text = f"✗ {name}{f'  job {job}' if job else ''}  {errors[name]['error']}"
            failures.append(Failure(name, text, job=job))
        elif failure is not None:
            failures.append(failure)
    return failures


def log_tail(failure: Failure, lines: int) -> list[str]:
    """Return the last lines of the log of a failed job, unless its message contains them."""
    if LOG_PREFIX in failure.text or not failure.log or not Path(failure.log).is_file():
        return []
    text = Path(failure.log).read_text("utf-8", "replace").rstrip()
    return [f"{LOG_PREFIX}{line}" for line in text.splitlines()[-lines:]]
