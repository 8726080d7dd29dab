"""The job that this process runs in: how much time it has left, and how it goes back into the queue."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tapeout.slurm.client import SlurmUnavailable, ask, clock, record

SUBMITTED = "TAPEOUT_SUBMITTED"
"""Variable: this process runs in a job that a run has submitted, and may put back; not in a job around a run."""
SECONDS_TO_BE_ENDED = 120
"""How long the controller may take to end a job that was put back in the queue."""


@dataclass(frozen=True)
class Allocation:
    """One job of the cluster."""

    job: str

    @classmethod
    def here(cls) -> "Allocation | None":
        """The job that a run has submitted for this process; None outside Slurm, and in a job around a whole run."""
        job = os.environ.get("SLURM_JOB_ID")
        return cls(job) if job and SUBMITTED in os.environ else None

    def seconds_left(self) -> float | None:
        """Seconds until the time limit; None if there is none, or if nobody answers."""
        try:
            return clock(ask("squeue", "--noheader", f"--jobs={self.job}", "--format=%L").strip())
        except SlurmUnavailable:
            return None

    def limit(self) -> float | None:
        """Seconds that the job has in all; None if there is no limit, or if nobody answers."""
        try:
            return clock(ask("squeue", "--noheader", f"--jobs={self.job}", "--format=%l").strip())
        except SlurmUnavailable:
            return None

    def state(self) -> str:
        """RUNNING, COMPLETING ...; CANCELLED, TIMEOUT or the like as soon as the job is being ended for good.

        Raises:
            SlurmUnavailable: the controller does not answer.
        """
        return record(self.job).get("JobState", "UNKNOWN")

    def requeue(self, granted: Callable[[], None]) -> None:
        """Put this job back into the queue, under its number; the controller then ends this process. Does not return.

        Args:
            granted: called as soon as the controller has agreed.

        Raises:
            SlurmUnavailable: the controller refuses, or does not answer, or does not end the job.
        """
        ask("scontrol", "requeue", self.job)
        granted()
        time.sleep(SECONDS_TO_BE_ENDED)
        raise SlurmUnavailable(f"Job {self.job} was put back into the queue but was not ended.", "Cancel it by hand.")


def restarts(folder: Path, job: str) -> int:
    """How often a job has put itself back in the queue to go on with the action of the work folder ``folder``."""
    path = folder / "restarts"
    return path.read_text().splitlines().count(job) if path.exists() else 0


def note_restart(folder: Path, job: str) -> None:
    """Remember one restart more."""
    with open(folder / "restarts", "a") as file:
        file.write(f"{job}\n")
