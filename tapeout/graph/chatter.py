"""Keep Snakemake's running commentary out of the way of the plan and of the one line for each artifact."""

import logging

from snakemake.logging import get_event, logger
from snakemake_interface_logger_plugins.common import LogEvent

COMMAND_FAILED = "RuleException:\nCalledProcessError"


class OnlyWhatMatters(logging.Filter):
    """Drop remarks without an event («Select jobs to execute...»), and say in one line that a job failed.

    The runner shows why a step failed; but a runner that was itself killed says nothing, so Snakemake's word is kept.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; a job's error becomes a plain line."""
        event = get_event(record)
        if event is LogEvent.JOB_ERROR:
            name, logs = getattr(record, "rule_name", "?"), getattr(record, "log", None)
            record.event = None
            record.levelno, record.levelname = logging.ERROR, "ERROR"
            record.msg, record.args = f"✗ rule {name} did not finish; log: {', '.join(logs or ['none'])}", ()
            return True
        if record.getMessage().startswith(COMMAND_FAILED):
            return False  # the shell command of the job that JOB_ERROR tells of
        return event not in (None, LogEvent.JOB_STARTED) or record.levelno > logging.INFO


def hush() -> None:
    """Filter Snakemake's log for the rest of this process; once."""
    if not any(isinstance(known, OnlyWhatMatters) for known in logger.filters):
        logger.addFilter(OnlyWhatMatters())
