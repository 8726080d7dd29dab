"""What a run does before it decides anything, when its jobs go to a cluster."""

import os
from pathlib import Path
from typing import Any

from tapeout.graph.console import say
from tapeout.graph.errors import DamagedEntry, InputChanged
from tapeout.graph.retry_read import patiently
from tapeout.graph.workspace import Workspace
from tapeout.slurm import driver


def begin(workspace: Workspace) -> None:
    """Prepare the executor and the variables of the jobs; wait for jobs that an earlier run has left.

    Raises:
        SlurmUnavailable: Slurm is not here, or does not answer.
    """
    from tapeout.slurm.executor import adapt  # the executor takes a moment to import

    def name(job: Any) -> str:
        return workspace.sealed_name(str(job.output[0])) or str(job.rule.name)

    def unmade(job: Any) -> str:
        artifact = workspace.sealed_name(str(job.output[0]))
        try:
            if artifact is not None:
                patiently(lambda: workspace.made(artifact))
        except (InputChanged, DamagedEntry) as error:
            return error.cause
        return ""

    adapt(say, name, unmade)
    driver.prepare(os.environ)
    driver.wait_for_earlier_jobs(str(Path.cwd()), say)
