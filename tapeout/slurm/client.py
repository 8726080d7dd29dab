"""Queries to Slurm: its command-line tools, run with a time limit, and their parsed output.

Every command has a time limit because some of them block forever when the controller is down.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime

from tapeout.errors import TapeoutError

SLURM = "slurm"
"""Name of Snakemake's executor plugin that submits jobs to the cluster."""
TIMEOUT = 30
"""Seconds that a command may take; a busy controller answers in a few."""

SQUEUE_FIELDS = {
    "id": "%A",
    "state": "%T",
    "reason": "%r",
    "nodes": "%N",
    "count": "%D",
    "left": "%L",
    "start": "%S",
    "gres": "%b",
    "name": "%j",
    "comment": "%k",
    "folder": "%Z",
}
"""Format of squeue by the fields of ``Job``. No value contains a bar, except perhaps the last one, the folder."""
SACCT_FIELDS = ("JobIDRaw", "JobName", "WorkDir", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES")

RUN_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""Job name that the executor gives to all jobs of a run. Sites may rewrite comments, but not names."""
USER_SETTINGS = ("SQUEUE_", "SACCT_", "SLURM_TIME_FORMAT")
"""Prefixes of environment variables by which users change the output of these commands."""
CONTROLLER_AWAY = re.compile(
    "unable to contact|connection refused|connect failure|socket timed out|zero bytes|temporarily unable|"
    "unexpected message received|connection timed out|controller is in standby|did not answer",
    re.IGNORECASE,
)
"""Messages that mean that the controller is away, restarting or overloaded."""

FINAL_STATES = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED"),
    "TIMEOUT",
}
"""States that a job does not leave."""


class SlurmUnavailable(TapeoutError):
    """Slurm's commands are not installed, fail, or its controller does not answer."""


def ask(*command: str, seconds: float = TIMEOUT) -> str:
    """Run one of Slurm's commands and return its output.

    Raises:
        SlurmUnavailable: it is not installed, fails, or does not answer within ``seconds``.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(USER_SETTINGS)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, env=variables
        )
    except FileNotFoundError as error:
        raise SlurmUnavailable(
            f"There is no {command[0]} on this machine.", "Run on a submit node of the cluster."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmUnavailable(
            f"Slurm's controller did not answer {command[0]} within {seconds:.0f} s.", "Wait a little and run again."
        ) from error
    if done.returncode:
        message = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise SlurmUnavailable(f"{command[0]} failed: {message}", "Wait a little and run again, or ask the site.")
    return done.stdout


@dataclass(frozen=True)
class Job:
    """A job in the queue, as squeue shows it.

    Attributes:
        id: job number, as scancel takes it.
        state: PENDING, RUNNING, COMPLETING ...
        reason: why it is pending.
        nodes: names of its nodes.
        count: number of nodes that it has or requests.
        left: time until its limit, ``days-hours:minutes:seconds``.
        start: actual or expected start; ``N/A`` if unknown.
        gres: generic resources on each node, e.g. ``gres:gpu:8``.
        name: name that Snakemake gives to all jobs of the run.
        comment: rule and wildcards, written by the executor.
        folder: folder from which it was submitted.
    """

    id: str
    state: str
    reason: str
    nodes: str
    count: str
    left: str
    start: str
    gres: str
    name: str
    comment: str
    folder: str

    @classmethod
    def parse(cls, line: str) -> "Job":
        """Parse a line of squeue's output in the format of ``SQUEUE_FIELDS``."""
        return cls(*line.split("|", len(SQUEUE_FIELDS) - 1))

    @property
    def rule(self) -> str | None:
        """Rule named in the executor's comment, "?" without a comment; None for a job that is not Snakemake's."""
        if not self.comment.startswith("rule_"):
            return "?" if RUN_NAME.search(self.name) else None
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]

    @property
    def wildcards(self) -> str:
        """Values of the wildcards, joined by underscores; slashes are replaced by underscores."""
        return self.comment.partition("_wildcards_")[2]

    @property
    def gpus_per_node(self) -> int:
        """Number of GPUs on each node."""
        count = self.gres.rpartition(":")[2]
        return int(count) if "gpu" in self.gres and count.isdigit() else 0

    @property
    def gpus(self) -> int:
        """Number of GPUs on all its nodes."""
        return self.gpus_per_node * int(self.count) if self.count.isdigit() else self.gpus_per_node


def live_jobs(folder: str, seconds: float = TIMEOUT) -> list[Job]:
    """Return this user's pending and running Snakemake jobs that were submitted in ``folder``, oldest first.

    Raises:
        SlurmUnavailable: see ``ask``.
    """
    form = f"--format={'|'.join(SQUEUE_FIELDS.values())}"
    jobs = map(Job.parse, ask("squeue", "--me", "--all", "--noheader", form, seconds=seconds).splitlines())
    own = [job for job in jobs if job.folder == folder and job.rule is not None and job.state not in FINAL_STATES]
    return sorted(own, key=lambda job: int(job.id))


def known_jobs(name: str) -> dict[str, Job] | None:
    """Return all jobs of a run that the controller remembers, including ended ones, by number.

    None if the controller does not answer, which must not be mistaken for "no jobs".
    """
    form = f"--format={'|'.join(SQUEUE_FIELDS.values())}"
    try:
        text = ask("squeue", "--all", "--states=all", "--noheader", f"--name={name}", form)
    except SlurmUnavailable:
        return None
    return {job.id: job for job in map(Job.parse, text.splitlines())}


def job_record(job: str) -> dict[str, str]:
    """Return what the controller knows of a job (``scontrol show job``); {} if it no longer knows the job.

    Raises:
        SlurmUnavailable: the controller does not answer.
    """
    try:
        text = ask("scontrol", "--oneliner", "show", "job", job)
    except SlurmUnavailable as error:
        if "Invalid job id" in error.cause:
            return {}
        raise
    return dict(item.split("=", 1) for item in text.split() if "=" in item)


@dataclass(frozen=True)
class Attempt:
    """One allocation of a job; a requeued job has several.

    Attributes:
        job: job number.
        submitted: when it was submitted, in seconds since 1970, as ``started`` and ``ended``.
        started: when it got its nodes.
        ended: when it released them; the time of the query if it still runs.
        gpus: number on all its nodes; None if the accounting does not count GPUs.
    """

    job: str
    submitted: float
    started: float
    ended: float
    gpus: int | None

    @property
    def gpu_hours(self) -> float:
        """Number of GPUs multiplied by the hours that they were allocated."""
        return (self.gpus or 0) * (self.ended - self.started) / 3600


def accounted_attempts(folder: str, since: float) -> list[Attempt]:
    """Return the attempts of Snakemake jobs submitted in ``folder`` after ``since`` that got nodes, from sacct.

    Raises:
        SlurmUnavailable: there is no accounting, or it does not answer.
    """
    begin = datetime.fromtimestamp(since).isoformat(timespec="seconds")
    form = f"--format={','.join(SACCT_FIELDS)}"
    attempts = []
    for line in ask("sacct", "-X", "-n", "-P", "--duplicates", f"--starttime={begin}", form).splitlines():
        job, name, *rest = line.split("|")
        if not RUN_NAME.search(name):
            continue
        work_folder = "|".join(rest[:-5])  # the only field that may contain a bar
        submit, start, _, elapsed, tres = rest[-5:]
        submitted, started = _timestamp(submit), _timestamp(start)
        if work_folder == folder and submitted is not None and started is not None and submitted >= int(since):
            attempts.append(Attempt(job, submitted, started, started + int(elapsed), _gpu_count(tres)))
    return attempts


def parse_duration(text: str) -> float | None:
    """Parse ``days-hours:minutes:seconds``, whose leading parts may be missing; None if it is not a duration."""
    days, _, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or (days and not days.isdigit()):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds + 86400 * int(days or 0)


def _timestamp(text: str) -> float | None:
    """Return seconds since 1970; None for "Unknown" and "None"."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _gpu_count(tres: str) -> int | None:
    count = re.search(r"(?:^|,)gres/gpu=(\d+)", tres)
    return int(count[1]) if count else None
