"""Slurm job that this process runs in: its remaining time, its state, and how to requeue it."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tapeout.slurm.client import SlurmUnavailable, ask, job_record, parse_duration

SUBMITTED = "TAPEOUT_SUBMITTED"
"""Environment variable that marks a job submitted by a run, which may requeue itself.

It is not set when a user starts the whole run inside a job."""
SECONDS_TO_END = 120
"""Seconds that the controller may take to end a job that was requeued."""


@dataclass(frozen=True)
class Allocation:
    """The job of this process."""

    job: str

    @classmethod
    def here(cls) -> "Allocation | None":
        """Return the job that a run submitted for this process.

        None outside Slurm, and in a job in which the user started the whole run.
        """
        job = os.environ.get("SLURM_JOB_ID")
        return cls(job) if job and SUBMITTED in os.environ else None

    def seconds_left(self) -> float | None:
        """Return the seconds until the time limit; None without a limit or an answer."""
        return self._duration("%L")

    def time_limit(self) -> float | None:
        """Return the job's time limit in seconds; None without a limit or an answer."""
        return self._duration("%l")

    def _duration(self, field: str) -> float | None:
        try:
            return parse_duration(ask("squeue", "--noheader", f"--jobs={self.job}", f"--format={field}").strip())
        except SlurmUnavailable:
            return None

    def state(self) -> str:
        """Return the job's state; CANCELLED, TIMEOUT or similar as soon as Slurm begins to end it.

        Raises:
            SlurmUnavailable: the controller does not answer.
        """
        return job_record(self.job).get("JobState", "UNKNOWN")

    def requeue(self, on_accepted: Callable[[], None]) -> None:
        """Requeue this job under its number; the controller then ends this process. Does not return.

        Args:
            on_accepted: called as soon as the controller has accepted the request.

        Raises:
            SlurmUnavailable: the controller refuses, does not answer, or does not end the job.
        """
        ask("scontrol", "requeue", self.job)
        on_accepted()
        time.sleep(SECONDS_TO_END)
        raise SlurmUnavailable(f"Job {self.job} was requeued but was not ended.", "Cancel it manually.")


def count_restarts(folder: Path, job: str) -> int:
    """Return how often a job has requeued itself to continue the action of the scratch folder ``folder``."""
    path = folder / "restarts"
    return path.read_text().splitlines().count(job) if path.is_file() else 0


def record_restart(folder: Path, job: str) -> None:
    """Add one to the count that ``count_restarts`` returns."""
    with open(folder / "restarts", "a") as file:
        file.write(f"{job}\n")
