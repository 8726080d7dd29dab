"""Keep Snakemake's running commentary out of the way of the plan and of the one line for each artifact."""

import logging
from collections.abc import Callable

from snakemake.logging import get_event, logger
from snakemake_interface_logger_plugins.common import LogEvent

from tapeout.graph.console import FIX, print_line
from tapeout.graph.run.run_record import Failure
from tapeout.graph.workspace import Workspace
from tapeout.slurm.job_messages import FAILED, REMARKS, Told

AFTERWARDS = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
)
"""What follows JOB_ERROR, which has told of it."""


class OnlyWhatMatters(logging.Filter):
    """Drop remarks without an event («Select jobs to execute...»), and say in a few words what becomes of jobs.

    On this machine the runner shows why a step failed; but a runner that was itself killed says nothing, so Snakemake's
    word is kept. In a cluster the runner's words are in the job's log, and are shown from there.

    Attributes:
        quiet: else nothing is dropped or said in other words.
        failed: told of every job that failed.
    """

    def __init__(self, quiet: bool) -> None:
        super().__init__()
        self.quiet = quiet
        self.told = Told()
        self.failed: Callable[[Failure], None] = lambda failure: None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; a job's error becomes plain text."""
        event, message = get_event(record), record.getMessage()
        if event is not LogEvent.JOB_ERROR and not self.quiet:
            return True
        if event is LogEvent.JOB_INFO:
            self.told.names[getattr(record, "jobid", -1)] = _what(record)
        elif event is LogEvent.JOB_ERROR:
            said, logs = getattr(record, "rule_msg", None) or "", getattr(record, "log", None) or []
            what, job = _what(record), FAILED.search(said)
            text = self.told.failed(what, said, logs, FIX)
            self.failed(Failure(what, text, logs[-1] if logs else "", job[1] if job else ""))
            if self.quiet:
                record.event = None
                record.levelno, record.levelname = logging.ERROR, "ERROR"
                record.msg, record.args = text, ()
            return True
        elif line := self.told.submitted(message):
            print_line(line)
            return False
        if message.startswith((*AFTERWARDS, *REMARKS)):
            return False
        return event not in (None, LogEvent.JOB_STARTED) or record.levelno > logging.INFO


def _what(record: logging.LogRecord) -> str:
    """The artifact that a job makes; its rule if it makes none."""
    marks = [Workspace.here().marked_artifact(path) for path in getattr(record, "output", None) or []]
    return next((name for name in marks if name), f"rule {getattr(record, 'rule_name', '?')}")


def listen(quiet: bool) -> OnlyWhatMatters:
    """Filter Snakemake's log for the rest of this process, in place of an earlier filter."""
    for known in [known for known in logger.filters if isinstance(known, OnlyWhatMatters)]:
        logger.removeFilter(known)
    made = OnlyWhatMatters(quiet)
    logger.addFilter(made)
    return made
