"""Small changes to the Slurm executor, for the life of a process.

- It asks what became of its jobs as often as the profile says (``seconds-between-status-checks``). By itself it waits
  ten seconds more after each look at which nothing had ended, up to three minutes, and ignores that setting: a chain of
  short steps behind a long one then waits for minutes at each link, GPUs idle.
- It says when a job begins, what it waits for if that does not pass by itself, and, in the runner's own words, that it
  has ended well.
- A job that has ended well and has not made what it was to make (a node saw an old plan) has failed.
- A job that the controller has forgotten is looked for in the results, and not waited for without end.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from tapeout.slurm.client import Job, known_jobs
from tapeout.slurm.job_messages import OURS, finished

pause: Any = RemoteExecutor.next_seconds_between_status_checks
report: Any = RemoteExecutor.report_job_success
check: Any = Executor.check_active_jobs

FORGOTTEN = 3
"""Looks in which the controller does not know a job before it is believed: a new one may take a moment to be shown."""
STUCK = ("Limit", "BadConstraints", "Invalid", "Held", "launch failed", "AssocMax", "AssocGrp", "QOSMax", "QOSGrp")
"""Parts of reasons for which a job may wait for ever."""


@dataclass
class Looks:
    """What was seen of the jobs of this run, so that each thing is said once."""

    say: Callable[[str], None]
    running: set[str] = field(default_factory=set)
    stuck: set[tuple[str, str]] = field(default_factory=set)
    missed: Counter[str] = field(default_factory=Counter)

    def look(self, run: str, jobs: dict[str, str]) -> set[str]:
        """Say what is new of the jobs (number -> artifact); returns those that the controller has forgotten."""
        known = known_jobs(run)
        if known is None:
            return set()
        for number, artifact in jobs.items():
            if (job := known.get(number)) is None:
                self.missed[number] += 1
            else:
                self.missed[number] = 0
                self._tell(artifact, job)
        return {number for number in jobs if self.missed[number] >= FORGOTTEN}

    def _tell(self, artifact: str, job: Job) -> None:
        if job.state == "RUNNING" and job.id not in self.running:
            self.running.add(job.id)
            self.say(f"+ {artifact}  job {job.id} on {job.nodes}")
        elif job.state == "PENDING":
            self.running.discard(job.id)
            if any(part in job.reason for part in STUCK) and (job.id, job.reason) not in self.stuck:
                self.stuck.add((job.id, job.reason))
                self.say(f"! {artifact}  job {job.id} may wait for ever: {job.reason}; see config/site.yaml")


def adapt(say: Callable[[str], None], name: Callable[[Any], str], unmade: Callable[[Any], str]) -> None:
    """Change the executor.

    Args:
        say: shows a line to the user.
        name: the artifact that a Snakemake job makes.
        unmade: what is wrong with what a Snakemake job has made; empty if nothing is.
    """
    looks = Looks(say)

    def shortened(self: Any, value: float) -> None:
        most = self.workflow.remote_execution_settings.seconds_between_status_checks
        pause.fset(self, min(value, most))

    def told(self: Any, job: Any) -> None:
        log = job.aux["slurm_logfile"]
        if reason := unmade(job.job):
            self.report_job_error(job, msg=f"{OURS}job {job.external_jobid} ended, but {reason}", aux_logs=[str(log)])
            return
        if line := finished(job.external_jobid, log):
            say(line)
        report(self, job)

    async def watched(self: Any, active: list[Any]) -> AsyncIterator[Any]:
        forgotten = (
            looks.look(self.run_uuid, {job.external_jobid: name(job.job) for job in active}) if active else set()
        )
        for job in active:
            if job.external_jobid in forgotten:
                told(self, job)
        async for job in check(self, [job for job in active if job.external_jobid not in forgotten]):
            yield job

    Executor.next_seconds_between_status_checks = property(pause.fget, shortened)
    Executor.report_job_success = told
    Executor.check_active_jobs = watched
