"""What the process that submits jobs does before it decides anything.

Jobs that an earlier run of this folder left in the queue when it was killed are waited for and never submitted twice.
Each of them builds an artifact that was to be built, and seals it by itself; what is still to be done is decided when
the last one has ended.
"""

import os
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.slurm.client import SLURM as SLURM
from tapeout.slurm.client import Job, SlurmUnavailable, ask, live_jobs
from tapeout.slurm.submit import BIN

FORGETS = 120
"""Seconds for which the controller must remember an ended job, so that the executor, which may be busy, sees it."""

SECONDS_BETWEEN = (2.0, 30.0)
"""At first, and at most, between two looks at the queue."""


class ForgetfulController(TapeoutError):
    """The controller forgets jobs sooner than the executor asks for them."""


def prepare(variables: MutableMapping[str, str]) -> None:
    """Put our sbatch before the cluster's, and see that the controller answers and remembers.

    Raises:
        SlurmUnavailable: Slurm is not installed here, or does not answer.
        ForgetfulController: ended jobs would be missed.
    """
    settings = ask("scontrol", "show", "config")
    found = re.search(r"MinJobAge\s*=\s*(\d+)", settings)
    if found and int(found[1]) < FORGETS:
        raise ForgetfulController(
            f"The controller forgets ended jobs after {found[1]} s (MinJobAge); the executor may ask for them later.",
            "Add slurm-status-command: sacct to profiles/slurm/config.yaml.",
        )
    variables["PATH"] = os.pathsep.join([str(BIN), variables.get("PATH", "")])
    variables["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), variables.get("PYTHONPATH")])
    )
    variables["TAPEOUT_PYTHON"] = sys.executable


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
