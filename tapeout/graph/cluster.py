"""Prepare runs on a Slurm cluster, and preview their submissions in a dry run.

The executor's modules are imported inside the functions: they take a moment, and runs on one machine do not need them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake.iocontainers import InputFiles, Wildcards

from tapeout.errors import TapeoutError
from tapeout.graph.console import print_line
from tapeout.graph.files import disk_error, retry_until_visible
from tapeout.graph.paths import IN_SLURM, check_project
from tapeout.graph.plan.forecast import Forecast
from tapeout.graph.workspace import Workspace


def prepare(workspace: Workspace) -> None:
    """Adapt the executor, set the variables of the jobs, and wait for the jobs of an earlier run.

    Raises:
        SlurmUnavailable: Slurm is not installed here, or does not answer.
        InvalidFolder: sbatch cannot take the path of this folder.
    """
    check_project(os.environ, IN_SLURM)
    from tapeout.slurm import executor

    def name_of(job: Any) -> str:
        return workspace.marked_artifact(str(job.output[0])) or str(job.rule.name)

    def find_fault(job: Any) -> str:
        artifact = workspace.marked_artifact(str(job.output[0]))
        try:
            if artifact is not None:
                retry_until_visible(lambda: workspace.built_manifest(artifact))
        except OSError as error:  # in the executor's thread, which must not end: the job counts as failed
            return str(disk_error(error) or error)
        except TapeoutError as error:
            return error.cause
        return ""

    executor.adapt_executor(print_line, name_of, find_fault)
    executor.set_variables(os.environ)
    executor.wait_for_earlier_jobs(str(Path.cwd()), print_line)


def print_submissions(workflow: Any, cost: Forecast, producer: Callable[[str], tuple[Any, Wildcards]]) -> None:
    """Print the sbatch command of every planned step; nothing if the command line names no cluster."""
    from tapeout.slurm import sbatch_preview

    settings = sbatch_preview.executor_settings()
    if settings is None:
        return
    for step in cost.steps:
        rule, wildcards = producer(step.artifact)
        if rule.name in workflow._localrules:  # no public name; ``rule.is_local`` is True for every rule in a dry run
            print(f"# {step.artifact}: here")
            continue
        resources = rule.expand_resources(wildcards, InputFiles(), 1, {"tmpdir"})
        job = sbatch_preview.PreviewJob(rule.name, wildcards, resources)
        command = sbatch_preview.sbatch_command(job, settings, workflow.workdir_init)
        print(f"{command} # {step.artifact}", flush=True)
