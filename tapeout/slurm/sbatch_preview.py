"""The sbatch line of a job, made by the executor's own functions, for a dry run that submits nothing.

The command that a job runs (``--wrap``) is left out, and the name that all jobs of a run have is shown as RUN.
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
class Job:
    """What the executor asks of a job."""

    name: str
    wildcards: Wildcards
    resources: ResourceList

    @property
    def threads(self) -> int:
        """As a rule has them."""
        return int(self.resources._cores)

    def is_group(self) -> bool:
        """Rules are submitted one by one."""
        return False


def settings() -> Any | None:
    """The executor's settings of this command line and its profiles; None if it is not for Slurm.

    A dry run has none: Snakemake replaces the executor by one that does nothing, and forgets its settings.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # the profiles were named already
        _, arguments = parse_args(None)
    if arguments.executor != SLURM:
        return None
    return ExecutorPluginRegistry().get_plugin(SLURM).get_settings(arguments)


def sbatch(job: Job, known: Any, folder: str) -> str:
    """The line of a job.

    Args:
        job: that would be submitted.
        known: from ``settings``.
        folder: of the run.
    """
    validate_slurm_extra(job)
    wildcards = get_job_wildcards(job)
    logs = _select_logdir(SimpleNamespace(executor_settings=known, workdir_init=folder))
    account, partition = (job.resources.get(name) for name in ("slurm_account", "slurm_partition"))
    accounts = str(account or "").replace(",", " ").split()  # the executor takes the first, and asks whether it exists
    parameters = {
        "run_uuid": f"{known.jobname_prefix}_{RUN}" if known.jobname_prefix else RUN,
        "slurm_logfile": logs / f"rule_{job.name}" / wildcards / "%j.log",
        "comment_str": f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}",
        "account": f" -A {shlex.quote(accounts[0])}" if accounts else "",
        "partition": f" -p {shlex.quote(str(partition))}" if partition else "",
        "workdir": folder,
    }
    line = get_submit_command(job, parameters, settings=known) + set_gres_string(job)
    return shlex.join(shlex.split(line))
