"""What jobs held and how long they waited, as the accounting has it."""

import re
from dataclasses import dataclass
from datetime import datetime

from tapeout.slurm.client import OWN, ask

FIELDS = ("JobIDRaw", "JobName", "WorkDir", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES")


@dataclass(frozen=True)
class Attempt:
    """One time that a job was given nodes; a job that went back into the queue has several.

    Attributes:
        submitted: seconds since 1970, as ``started`` and ``ended``; the latter is now if it still runs.
        gpus: on all its nodes; None if the accounting counts none.
    """

    job: str
    submitted: float
    started: float
    ended: float
    gpus: int | None

    @property
    def gpu_hours(self) -> float:
        """GPUs by the time that it held them."""
        return (self.gpus or 0) * (self.ended - self.started) / 3600


def attempts(folder: str, since: float) -> list[Attempt]:
    """Attempts of Snakemake's jobs that were submitted in ``folder`` after ``since`` and got nodes.

    Raises:
        SlurmUnavailable: there is no accounting, or it does not answer.
    """
    begin = datetime.fromtimestamp(since).isoformat(timespec="seconds")
    text = ask("sacct", "-X", "-n", "-P", "--duplicates", f"--starttime={begin}", f"--format={','.join(FIELDS)}")
    found = []
    for line in text.splitlines():
        job, name, *rest = line.split("|")
        if not OWN.search(name):
            continue
        place = "|".join(rest[:-5])  # the one field that may hold a bar
        submit, start, _, elapsed, tres = rest[-5:]
        submitted, started = _time(submit), _time(start)
        if place == folder and submitted is not None and started is not None and submitted >= int(since):
            found.append(Attempt(job, submitted, started, started + int(elapsed), _gpus(tres)))
    return found


def _time(text: str) -> float | None:
    """Seconds since 1970; None for «Unknown» and «None»."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _gpus(tres: str) -> int | None:
    found = re.search(r"(?:^|,)gres/gpu=(\d+)", tres)
    return int(found[1]) if found else None
