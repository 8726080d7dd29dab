"""Filter of Snakemake's log, which otherwise hides the plan and the one line per artifact."""

import atexit
import logging
import os
import sys
from collections.abc import Callable

from snakemake.logging import get_event, logger
from snakemake_interface_logger_plugins.common import LogEvent

from tapeout.graph.console import FIX, print_line
from tapeout.graph.run.run_record import Failure
from tapeout.graph.workspace import Workspace
from tapeout.slurm.job_messages import JOB_FAILED, NOISE, JobMessages
from tapeout.streams import replace_stdout

REPEATED_ERRORS = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
)
"""Prefixes of messages that follow a JOB_ERROR event and repeat it."""


class QuietLogFilter(logging.Filter):
    """Drops messages without an event ("Select jobs to execute..."), and shortens those about jobs.

    On this machine the runner prints why a step failed. A runner that was killed prints nothing, so Snakemake's error
    is shown as well. In a cluster the runner's messages are in the job's log, and are copied from there.

    Attributes:
        quiet: whether to filter at all.
        on_failure: called with every job that fails.
    """

    def __init__(self, quiet: bool) -> None:
        super().__init__()
        self.quiet = quiet
        self.messages = JobMessages()
        self.on_failure: Callable[[Failure], None] = lambda failure: None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show a record; turn a job's error into plain text."""
        event, message = get_event(record), record.getMessage()
        if event is not LogEvent.JOB_ERROR and not self.quiet:
            return True
        if event is LogEvent.JOB_INFO:
            self.messages.names[getattr(record, "jobid", -1)] = _job_name(record)
        elif event is LogEvent.JOB_ERROR:
            error, logs = getattr(record, "rule_msg", None) or "", getattr(record, "log", None) or []
            name, job = _job_name(record), JOB_FAILED.search(error)
            text = self.messages.failed(name, error, logs, FIX)
            self.on_failure(Failure(name, text, logs[-1] if logs else "", job[1] if job else ""))
            if self.quiet:
                record.event = None
                record.levelno, record.levelname = logging.ERROR, "ERROR"
                record.msg, record.args = text, ()
            return True
        elif line := self.messages.submitted(message):
            print_line(line)
            return False
        if message.startswith((*REPEATED_ERRORS, *NOISE)):
            return False
        return event not in (None, LogEvent.JOB_STARTED) or record.levelno > logging.INFO


def _job_name(record: logging.LogRecord) -> str:
    """Return the artifact that a job makes; its rule if it makes none."""
    marks = [Workspace.here().marked_artifact(path) for path in getattr(record, "output", None) or []]
    return next((name for name in marks if name), f"rule {getattr(record, 'rule_name', '?')}")


def install_filter(quiet: bool, is_real_run: Callable[[], bool]) -> QuietLogFilter:
    """Filter Snakemake's log for the rest of this process, replacing an earlier filter.

    Args:
        quiet: whether to filter at all.
        is_real_run: returns whether jobs run; they do not end because the standard output cannot be written.
    """

    def end(status: int) -> None:
        if not is_real_run():
            os._exit(status)  # Snakemake would go on after SystemExit

    for known in [known for known in logger.filters if isinstance(known, QuietLogFilter)]:
        logger.removeFilter(known)
    log_filter = QuietLogFilter(quiet)
    logger.addFilter(log_filter)
    old = replace_stdout(1, end)
    atexit.register(sys.stdout.flush)
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is old:
            handler.stream = sys.stdout  # that of a dry run
    return log_filter
