"""What a run does before it decides anything, when its jobs go to a cluster."""

import os
from pathlib import Path
from typing import Any

from tapeout.graph.console import print_line
from tapeout.graph.errors import InputChanged, UnreadableState
from tapeout.graph.files import retry_until_visible
from tapeout.graph.workspace import Workspace
from tapeout.slurm import driver


def begin(workspace: Workspace) -> None:
    """Prepare the executor and the variables of the jobs; wait for jobs that an earlier run has left.

    Raises:
        SlurmUnavailable: Slurm is not here, or does not answer.
    """
    from tapeout.slurm.executor import adapt  # the executor takes a moment to import

    def name(job: Any) -> str:
        return workspace.marked_artifact(str(job.output[0])) or str(job.rule.name)

    def unmade(job: Any) -> str:
        artifact = workspace.marked_artifact(str(job.output[0]))
        try:
            if artifact is not None:
                retry_until_visible(lambda: workspace.built_manifest(artifact))
        except (InputChanged, UnreadableState) as error:
            return error.cause
        return ""

    adapt(print_line, name, unmade)
    driver.prepare(os.environ)
    driver.wait_for_earlier_jobs(str(Path.cwd()), print_line)
