"""What the process that submits jobs does before it decides anything.

Jobs that an earlier run of this folder left in the queue when it was killed are waited for and never submitted twice.
Each of them builds an artifact that was to be built, and seals it by itself; what is still to be done is decided when
the last one has ended.
"""

import os
import sys
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path

from tapeout.slurm.allocation import SUBMITTED
from tapeout.slurm.client import Job, SlurmUnavailable, live_jobs
from tapeout.slurm.submit import BIN, DRIVER

SECONDS_BETWEEN = (2.0, 30.0)
"""At first, and at most, between two looks at the queue."""


def prepare(variables: MutableMapping[str, str]) -> None:
    """Put our sbatch before the cluster's, and say to jobs that they are of a run: their allocation is theirs."""
    variables["PATH"] = os.pathsep.join([str(BIN), variables.get("PATH", "")])
    places = [str(Path(__file__).parents[2]), variables.get("PYTHONPATH")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    variables["TAPEOUT_PYTHON"] = sys.executable
    variables[DRIVER] = str(os.getpid())
    variables[SUBMITTED] = "1"


def wait_for_earlier_jobs(folder: str, say: Callable[[str], None]) -> list[Job]:
    """Wait until none of the jobs that were submitted in ``folder`` waits or runs; returns those that did.

    Raises:
        SlurmUnavailable: the controller does not answer at all; once it has, it is asked again and again.
    """
    seen: dict[str, Job] = {}
    pause, most = SECONDS_BETWEEN
    jobs = live_jobs(folder)
    shown = ""
    while jobs:
        seen |= {job.id: job for job in jobs}
        words = ", ".join(f"{job.id} ({job.rule}, {job.state.lower()}{_place(job)})" for job in jobs)
        if words != shown:
            say(f"Waiting for jobs of an earlier run: {words}. To end one: scancel NUMBER")
            shown = words
        time.sleep(pause)
        pause = min(1.5 * pause, most)
        jobs = _ask_again(folder, jobs)
    return list(seen.values())


def _place(job: Job) -> str:
    return f" on {job.nodes}" if job.nodes else f": {job.reason}" if job.reason not in ("None", "") else ""


def _ask_again(folder: str, jobs: list[Job]) -> list[Job]:
    try:
        return live_jobs(folder)
    except SlurmUnavailable:
        return jobs  # the controller restarts; the jobs go on
