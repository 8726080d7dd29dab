"""Slurm's own commands, asked with a time limit: on a dead controller some of them wait for ever."""

import os
import re
import subprocess
from dataclasses import dataclass

from tapeout.errors import TapeoutError

SLURM = "slurm"
"""Snakemake's name of what submits jobs to the cluster."""
SECONDS = 30
"""How long a command may take: a busy controller answers in a few seconds."""

FIELDS = {
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
"""What is asked of squeue, by our names. No field holds a bar but perhaps the last, the folder."""

OWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""How the executor names the jobs of a run; a site may rewrite their comments."""
PERSONAL = ("SQUEUE_", "SACCT_", "SLURM_TIME_FORMAT")
"""Variables by which users change what these commands show."""
AWAY = re.compile(
    "unable to contact|connection refused|connect failure|socket timed out|zero bytes|temporarily unable|"
    "unexpected message received|connection timed out|controller is in standby|did not answer",
    re.IGNORECASE,
)
"""What is said when the controller is away, restarting or overloaded."""

ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED"),
    "TIMEOUT",
}
"""States from which a job does not come back by itself."""


class SlurmUnavailable(TapeoutError):
    """Slurm's commands are not there, or its controller does not answer."""


def ask(*command: str, seconds: float = SECONDS) -> str:
    """Output of one of Slurm's commands.

    Raises:
        SlurmUnavailable: it is not installed, fails, or does not answer within ``seconds``.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(PERSONAL)}
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
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise SlurmUnavailable(f"{command[0]} failed: {said}", "Wait a little and run again, or ask the site.")
    return done.stdout


@dataclass(frozen=True)
class Job:
    """A job in the queue, as squeue shows it.

    Attributes:
        id: the number that scancel wants.
        state: PENDING, RUNNING, COMPLETING ...
        reason: why it waits.
        nodes: where it runs.
        count: how many nodes it has, or wants.
        left: time until its limit, ``days-hours:minutes:seconds``.
        start: when it began, or is expected to; ``N/A`` if nobody knows.
        gres: what it gets on each node, e.g. ``gres:gpu:8``.
        name: Snakemake's name of the run.
        comment: the executor's: rule and wildcards.
        folder: where it was submitted.
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

    @property
    def rule(self) -> str | None:
        """The rule, as the executor's comment names it; None for a job that is not Snakemake's."""
        if not self.comment.startswith("rule_"):
            return "?" if OWN.search(self.name) else None
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]

    @property
    def wildcards(self) -> str:
        """Values of the wildcards, joined; slashes are underscores."""
        return self.comment.partition("_wildcards_")[2]

    @property
    def gpus(self) -> int:
        """GPUs on each node."""
        count = self.gres.rpartition(":")[2]
        return int(count) if "gpu" in self.gres and count.isdigit() else 0

    @property
    def gpus_in_all(self) -> int:
        """GPUs on all its nodes."""
        return self.gpus * int(self.count) if self.count.isdigit() else self.gpus


def live_jobs(folder: str, seconds: float = SECONDS) -> list[Job]:
    """This user's jobs of Snakemake that were submitted in ``folder`` and wait or run, oldest first.

    Args:
        folder: of the run.
        seconds: how long to wait for the controller.

    Raises:
        SlurmUnavailable: see ``ask``.
    """
    wanted = "|".join(FIELDS.values())
    jobs = []
    for line in ask("squeue", "--me", "--all", "--noheader", f"--format={wanted}", seconds=seconds).splitlines():
        job = Job(*line.split("|", len(FIELDS) - 1))
        if job.folder == folder and job.rule is not None and job.state not in ENDED:
            jobs.append(job)
    return sorted(jobs, key=lambda job: int(job.id))


def known_jobs(name: str) -> dict[str, Job] | None:
    """All jobs of a run that the controller remembers, ended ones too, by their numbers.

    None if it does not answer, so that nobody takes its silence for an answer.
    """
    form = f"--format={'|'.join(FIELDS.values())}"
    try:
        text = ask("squeue", "--all", "--states=all", "--noheader", f"--name={name}", form)
    except SlurmUnavailable:
        return None
    jobs = [Job(*line.split("|", len(FIELDS) - 1)) for line in text.splitlines()]
    return {job.id: job for job in jobs}


def record(job: str) -> dict[str, str]:
    """What the controller still knows of a job (``scontrol show job``); {} once it has forgotten it.

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


def clock(text: str) -> float | None:
    """Seconds of ``days-hours:minutes:seconds``, of which the first parts may be missing; None if it is no time."""
    days, _, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or (days and not days.isdigit()):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds + 86400 * int(days or 0)
