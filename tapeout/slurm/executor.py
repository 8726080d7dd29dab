"""Two small changes to the Slurm executor, for the life of a process.

- It asks what became of its jobs as often as the profile says (``seconds-between-status-checks``). By itself it waits
  ten seconds more after each look at which nothing had ended, up to three minutes, and ignores that setting: a chain of
  short steps behind a long one then waits for minutes at each link, GPUs idle.
- When a job has ended well, the runner's own line of it is said. Snakemake says nothing here where it is told to show
  no progress, and names numbers of its own where it is not.
"""

from collections.abc import Callable
from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from tapeout.slurm.told import finished

pause: Any = RemoteExecutor.next_seconds_between_status_checks
report: Any = RemoteExecutor.report_job_success


def adapt(say: Callable[[str], None]) -> None:
    """Change the executor; ``say`` shows a line to the user."""

    def shortened(self: Any, value: float) -> None:
        most = self.workflow.remote_execution_settings.seconds_between_status_checks
        pause.fset(self, min(value, most))

    def told(self: Any, job: Any) -> None:
        if line := finished(job.external_jobid, job.aux["slurm_logfile"]):
            say(line)
        report(self, job)

    Executor.next_seconds_between_status_checks = property(pause.fget, shortened)
    Executor.report_job_success = told
