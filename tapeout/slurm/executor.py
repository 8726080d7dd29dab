"""Submitting process: adapt Snakemake's Slurm executor, and wait for the jobs of an earlier run.

The executor is changed in five ways for the life of the process:

- It queries its jobs as often as the profile says (``seconds-between-status-checks``). By default it adds ten seconds
  after each query without an ended job, up to three minutes: a chain of short steps after a long one then waits for
  minutes at each link while GPUs idle.
- It reports when a job starts, a pending reason that does not resolve without help, and the runner's success message.
- A job that Slurm reports as completed but whose artifact is missing has failed (its node saw an old plan).
- An interrupted run also cancels the jobs whose state is being queried, which the executor would leave in the queue.
- A job that the controller has forgotten is judged by its results instead of being waited for forever.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from tapeout.slurm.allocation import SUBMITTED
from tapeout.slurm.client import Job, SlurmUnavailable, known_jobs, live_jobs
from tapeout.slurm.job_messages import OWN_MESSAGE, finished
from tapeout.slurm.submit import BIN, DRIVER

check_interval: Any = RemoteExecutor.next_seconds_between_status_checks
report_success: Any = RemoteExecutor.report_job_success
check_jobs: Any = Executor.check_active_jobs
cancel_jobs: Any = Executor.cancel_jobs

MAX_MISSES = 3
"""Queries without a job until the controller counts as having forgotten it: new jobs may appear with a delay."""
STUCK = ("Limit", "BadConstraints", "Invalid", "Held", "launch failed", "AssocMax", "AssocGrp", "QOSMax", "QOSGrp")
"""Parts of pending reasons that may never resolve."""
MIN_PAUSE, MAX_PAUSE = 2.0, 30.0
"""Seconds between two queries for earlier jobs, at first and at most."""


@dataclass
class JobWatcher:
    """State of the jobs of this run, to report each event once.

    Attributes:
        print_line: prints a line for the user.
        running: numbers of jobs whose start was reported.
        stuck: numbers and pending reasons that were reported.
        misses: consecutive queries in which the controller did not know a job.
    """

    print_line: Callable[[str], None]
    running: set[str] = field(default_factory=set)
    stuck: set[tuple[str, str]] = field(default_factory=set)
    misses: Counter[str] = field(default_factory=Counter)

    def update(self, run: str, jobs: dict[str, str]) -> set[str]:
        """Report new events of the jobs (number to artifact); return those that the controller has forgotten."""
        known = known_jobs(run)
        if known is None:
            return set()
        for number, artifact in jobs.items():
            if (job := known.get(number)) is None:
                self.misses[number] += 1
            else:
                self.misses[number] = 0
                self._report(artifact, job)
        return {number for number in jobs if self.misses[number] >= MAX_MISSES}

    def _report(self, artifact: str, job: Job) -> None:
        if job.state == "RUNNING" and job.id not in self.running:
            self.running.add(job.id)
            self.print_line(f"+ {artifact}  job {job.id} on {job.nodes}")
        elif job.state == "PENDING":
            self.running.discard(job.id)
            if any(part in job.reason for part in STUCK) and (job.id, job.reason) not in self.stuck:
                self.stuck.add((job.id, job.reason))
                self.print_line(f"! {artifact}  job {job.id} may wait forever: {job.reason}; see config/site.yaml")


def adapt_executor(
    print_line: Callable[[str], None], name_of: Callable[[Any], str], find_fault: Callable[[Any], str]
) -> None:
    """Change the executor as the module's docstring describes.

    ``find_fault`` returns what is wrong with the output of a Snakemake job; empty if nothing is.
    """
    watcher = JobWatcher(print_line)
    queried: list[Any] = []

    def set_interval(self: Any, value: float) -> None:
        longest = self.workflow.remote_execution_settings.seconds_between_status_checks
        check_interval.fset(self, min(value, longest))

    def report_result(self: Any, job: Any) -> None:
        log = job.aux["slurm_logfile"]
        if fault := find_fault(job.job):
            message = f"{OWN_MESSAGE}job {job.external_jobid} ended, but {fault}"
            self.report_job_error(job, msg=message, aux_logs=[str(log)])
            return
        if line := finished(job.external_jobid, log):
            print_line(line)
        report_success(self, job)

    async def check(self: Any, active: list[Any]) -> AsyncIterator[Any]:
        queried[:] = active
        jobs = {job.external_jobid: name_of(job.job) for job in active}
        forgotten = watcher.update(self.run_uuid, jobs) if jobs else set()
        for job in active:
            if job.external_jobid in forgotten:
                report_result(self, job)
        async for job in check_jobs(self, [job for job in active if job.external_jobid not in forgotten]):
            yield job
        queried.clear()

    def cancel(self: Any, active: list[Any]) -> None:
        jobs = {job.external_jobid: job for job in [*queried, *active]}
        cancel_jobs(self, list(jobs.values()))

    Executor.next_seconds_between_status_checks = property(check_interval.fget, set_interval)
    Executor.report_job_success = report_result
    Executor.check_active_jobs = check
    Executor.cancel_jobs = cancel


def set_variables(variables: MutableMapping[str, str]) -> None:
    """Set the variables that jobs inherit: the sbatch wrapper on PATH, and that a run submits them."""
    variables["PATH"] = os.pathsep.join([str(BIN), variables.get("PATH", "")])
    paths = [str(Path(__file__).parents[2]), variables.get("PYTHONPATH")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    variables["TAPEOUT_PYTHON"] = sys.executable
    variables[DRIVER] = str(os.getpid())
    variables[SUBMITTED] = "1"


def wait_for_earlier_jobs(folder: str, print_line: Callable[[str], None]) -> list[Job]:
    """Wait until no job that was submitted in ``folder`` is pending or running; return those that were.

    A killed run leaves its jobs in the queue. Each of them builds and stores its artifact without the run, so that
    submitting it again would do the work twice; what is left to do is decided when the last one has ended.

    Raises:
        SlurmUnavailable: the controller does not answer the first query; later ones are repeated.
    """
    seen: dict[str, Job] = {}
    pause = MIN_PAUSE
    jobs = live_jobs(folder)
    shown = ""
    while jobs:
        seen |= {job.id: job for job in jobs}
        listed = ", ".join(f"{job.id} ({job.rule}, {job.state.lower()}{_where(job)})" for job in jobs)
        if listed != shown:
            print_line(f"Waiting for jobs of an earlier run: {listed}. To end one: scancel NUMBER")
            shown = listed
        time.sleep(pause)
        pause = min(1.5 * pause, MAX_PAUSE)
        jobs = _query_again(folder, jobs)
    return list(seen.values())


def _where(job: Job) -> str:
    return f" on {job.nodes}" if job.nodes else f": {job.reason}" if job.reason not in ("None", "") else ""


def _query_again(folder: str, jobs: list[Job]) -> list[Job]:
    try:
        return live_jobs(folder)
    except SlurmUnavailable:
        return jobs  # the controller restarts; the jobs continue
