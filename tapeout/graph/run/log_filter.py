"""Filter of Snakemake's log, so that the plan and the one line per artifact remain visible."""

import atexit
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from snakemake.logging import get_event, logger
from snakemake_interface_logger_plugins.common import LogEvent

from tapeout.graph.bookkeeping import bookkeeping
from tapeout.graph.console import FIX, print_line
from tapeout.graph.files import error_in
from tapeout.graph.run.run_record import Failure
from tapeout.graph.workspace import Workspace
from tapeout.slurm.job_messages import JOB_FAILED, NOISE, JobMessages
from tapeout.streams import replace_stdout
from tapeout.visible import visible

REPEATED_ERRORS = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
)
"""Prefixes of messages that follow a JOB_ERROR event and repeat it."""


class QuietLogFilter(logging.Filter):
    """Filter that drops messages without an event ("Select jobs to execute..."), and shortens messages about jobs.

    The runner of a local job prints why a step failed. A killed runner prints nothing, so Snakemake's error is shown as
    well. The runner of a cluster job writes to the job's log, from which its messages are copied.

    A disk error, such as a full disk, is shown as a named error instead of a traceback.

    Attributes:
        quiet: whether to filter at all.
        interrupted: returns whether the run was interrupted; jobs that end after that are not failures.
        on_failure: called with every job that fails.
    """

    def __init__(self, quiet: bool, interrupted: Callable[[], bool]) -> None:
        super().__init__()
        self.quiet = quiet
        self.interrupted = interrupted
        self.messages = JobMessages()
        self.on_failure: Callable[[Failure], None] = lambda failure: None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show a record, after replacing an error's message by plain text; never raise."""
        with bookkeeping("A message of Snakemake cannot be shortened"):
            return self._filter(record)
        return True

    def _filter(self, record: logging.LogRecord) -> bool:
        event, message = get_event(record), visible(record.getMessage())
        if message != record.getMessage():
            record.msg, record.args = message, ()
        if event is LogEvent.JOB_ERROR and self.interrupted():
            return False
        failed = event is not LogEvent.JOB_ERROR and record.levelno >= logging.ERROR
        if failed and (named := error_in(message)) is not None:
            record.event = None
            record.msg, record.args = str(named), ()
            return True
        if event is not LogEvent.JOB_ERROR and not self.quiet:
            return True
        if event is LogEvent.JOB_INFO:
            self.messages.names[getattr(record, "jobid", -1)] = _job_name(record)
        elif event is LogEvent.JOB_ERROR:
            error, logs = getattr(record, "rule_msg", None) or "", getattr(record, "log", None) or []
            name, job = _job_name(record), JOB_FAILED.search(error)
            text = visible(self.messages.failed(name, error, logs, FIX))
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
    """Return the artifact that a job builds; its rule if it builds none."""
    marks = [Workspace.here().marked_artifact(path) for path in getattr(record, "output", None) or []]
    return next((name for name in marks if name), f"rule {getattr(record, 'rule_name', '?')}")


class LostEnds(logging.Handler):
    """Handler that ends the run if Snakemake fails to process the end of a job.

    Python only logs an exception in the callback of a future. Snakemake's scheduler would then never learn that the job
    has ended, and would wait for it forever.
    """

    def __init__(self, workflow: Any) -> None:
        super().__init__()
        self.workflow = workflow

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the exception on to the scheduler, which prints it and ends the run."""
        error = record.exc_info[1] if record.exc_info else None
        self.workflow.scheduler.executor_error_callback(error or RuntimeError(record.getMessage()))


def install_filter(workflow: Any, quiet: bool, interrupted: Callable[[], bool]) -> QuietLogFilter:
    """Filter Snakemake's log for the rest of this process, replacing an earlier filter.

    If standard output cannot be written, a dry run ends, but a run with jobs continues.
    """

    def end(status: int) -> None:
        if workflow.executor_plugin is None or workflow.dryrun:
            os._exit(status)  # Snakemake would continue after SystemExit

    logging.raiseExceptions = False  # no traceback for a closed terminal or a full disk under .snakemake/log
    futures = logging.getLogger("concurrent.futures")
    futures.handlers, futures.propagate = [LostEnds(workflow)], False
    for known in [known for known in logger.filters if isinstance(known, QuietLogFilter)]:
        logger.removeFilter(known)
    log_filter = QuietLogFilter(quiet, interrupted)
    logger.addFilter(log_filter)
    old = replace_stdout(1, end)
    atexit.register(lambda: sys.stdout.flush())  # the stream of that time
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is old:
            handler.stream = sys.stdout  # Snakemake logs a dry run there
    return log_filter
