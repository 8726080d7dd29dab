"""Preview of sbatch commands for a dry run, from the executor's own functions.

The command that a job runs (``--wrap``) is left out, and the name that all jobs of a run share is shown as RUN.
"""

import contextlib
import io
import shlex
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from snakemake.cli import parse_args
from snakemake.iocontainers import ResourceList, Wildcards
from snakemake_executor_plugin_slurm import _select_logdir
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import get_job_wildcards, set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from tapeout.slurm.client import SLURM

RUN = "RUN"


@dataclass(frozen=True)
class PreviewJob:
    """The part of a Snakemake job that the executor reads to submit it."""

    name: str
    wildcards: Wildcards
    resources: ResourceList

    @property
    def threads(self) -> int:
        """Number of threads of the rule."""
        return int(self.resources._cores)

    def is_group(self) -> bool:
        """Return False: rules are submitted one by one."""
        return False


def executor_settings() -> Any | None:
    """Return the executor's settings from this command line and its profiles; None if it does not name Slurm.

    Snakemake replaces the executor of a dry run by one that does nothing, and drops its settings.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # Snakemake has printed the profiles already
        _, arguments = parse_args(None)
    if arguments.executor != SLURM:
        return None
    return ExecutorPluginRegistry().get_plugin(SLURM).get_settings(arguments)


def sbatch_command(job: PreviewJob, settings: Any, folder: str) -> str:
    """Return the sbatch command of a job, quoted for a shell."""
    validate_slurm_extra(job)
    wildcards = get_job_wildcards(job)
    logs = _select_logdir(SimpleNamespace(executor_settings=settings, workdir_init=folder))
    account, partition = (job.resources.get(name) for name in ("slurm_account", "slurm_partition"))
    accounts = str(account or "").replace(",", " ").split()  # the executor takes the first that exists
    parameters = {
        "run_uuid": f"{settings.jobname_prefix}_{RUN}" if settings.jobname_prefix else RUN,
        "slurm_logfile": logs / f"rule_{job.name}" / wildcards / "%j.log",
        "comment_str": f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}",
        "account": f" -A {shlex.quote(accounts[0])}" if accounts else "",
        "partition": f" -p {shlex.quote(str(partition))}" if partition else "",
        "workdir": folder,
    }
    command = get_submit_command(job, parameters, settings=settings) + set_gres_string(job)
    return shlex.join(shlex.split(command))
