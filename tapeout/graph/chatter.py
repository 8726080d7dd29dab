"""Keep Snakemake's running commentary out of the way of the plan and of the one line for each artifact."""

import logging

from snakemake.logging import get_event, logger
from snakemake_interface_logger_plugins.common import LogEvent

from tapeout.graph.words import CURE, say
from tapeout.graph.workspace import Workspace
from tapeout.slurm.told import REMARKS, Told

COMMAND_FAILED = "RuleException:\nCalledProcessError"
"""The shell command of a job of which JOB_ERROR has told."""


class OnlyWhatMatters(logging.Filter):
    """Drop remarks without an event («Select jobs to execute...»), and say in a few words what becomes of jobs.

    On this machine the runner shows why a step failed; but a runner that was itself killed says nothing, so Snakemake's
    word is kept. In a cluster the runner's words are in the job's log, and are shown from there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told = Told()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; a job's error becomes plain text."""
        event, message = get_event(record), record.getMessage()
        if event is LogEvent.JOB_INFO:
            self.told.names[getattr(record, "jobid", -1)] = _what(record)
        elif event is LogEvent.JOB_FINISHED:
            if line := self.told.finished(getattr(record, "job_id", -1)):
                say(line)
        elif event is LogEvent.JOB_ERROR:
            said, logs = getattr(record, "rule_msg", None) or "", getattr(record, "log", None) or []
            record.event = None
            record.levelno, record.levelname = logging.ERROR, "ERROR"
            record.msg, record.args = self.told.failed(_what(record), said, logs, CURE), ()
            return True
        elif line := self.told.submitted(message):
            say(line)
            return False
        if message.startswith((COMMAND_FAILED, *REMARKS)):
            return False
        return event not in (None, LogEvent.JOB_STARTED) or record.levelno > logging.INFO


def _what(record: logging.LogRecord) -> str:
    """The artifact that a job makes; its rule if it makes none."""
    marks = [Workspace.here().sealed_name(path) for path in getattr(record, "output", None) or []]
    return next((name for name in marks if name), f"rule {getattr(record, 'rule_name', '?')}")


def hush() -> None:
    """Filter Snakemake's log for the rest of this process; once."""
    if not any(isinstance(known, OnlyWhatMatters) for known in logger.filters):
        logger.addFilter(OnlyWhatMatters())
