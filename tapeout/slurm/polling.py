"""How often the executor asks what became of its jobs: as often as the profile says.

By itself it waits ten seconds more after each look at which nothing had ended, up to three minutes, and ignores
Snakemake's own setting: a chain of short steps behind a long one then waits for minutes at each link, GPUs idle.
"""

from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

inherited: Any = RemoteExecutor.next_seconds_between_status_checks


def never_longer() -> None:
    """From now on no pause is longer than ``seconds-between-status-checks``; once for the process."""

    def shortened(self: Any, value: float) -> None:
        most = self.workflow.remote_execution_settings.seconds_between_status_checks
        inherited.fset(self, min(value, most))

    Executor.next_seconds_between_status_checks = property(inherited.fget, shortened)
