"""Keep Snakemake's running commentary out of the way of the plan and of the one line for each artifact."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from snakemake.logging import get_event, logger
from snakemake_interface_logger_plugins.common import LogEvent

from tapeout.graph.course import Failure
from tapeout.graph.words import CURE
from tapeout.graph.workspace import Workspace
from tapeout.slurm.failures import explain

COMMAND_FAILED = "RuleException:\nCalledProcessError"
GUESSING = ("No SLURM account given", "No account was given", "Unable to guess SLURM account")
"""The executor's remarks on a missing account: the cluster's default is what config/site.yaml says then."""
JOB_FAILED = re.compile(r"SLURM-job '(\d+)' failed")
NOT_SUBMITTED = re.compile(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", re.DOTALL)


class OnlyWhatMatters(logging.Filter):
    """Drop remarks without an event («Select jobs to execute...»), and say in a few words why a job failed.

    On this machine the runner shows why a step failed; but a runner that was itself killed says nothing, so Snakemake's
    word is kept.

    Attributes:
        quiet: else nothing is dropped or said in other words.
        failed: told of every job that failed.
    """

    def __init__(self, quiet: bool) -> None:
        super().__init__()
        self.quiet = quiet
        self.failed: Callable[[Failure], None] = lambda failure: None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; a job's error becomes plain text."""
        event, message = get_event(record), record.getMessage()
        if event is LogEvent.JOB_ERROR:
            failure = _failed(record)
            self.failed(failure)
            if self.quiet:
                record.event = None
                record.levelno, record.levelname = logging.ERROR, "ERROR"
                record.msg, record.args = failure.text, ()
            return True
        if not self.quiet:
            return True
        if message.startswith((COMMAND_FAILED, *GUESSING)):
            return False  # the shell command of the job that JOB_ERROR tells of
        return event not in (None, LogEvent.JOB_STARTED) or record.levelno > logging.INFO


def _failed(record: logging.LogRecord) -> Failure:
    """What is known of a job that failed, here or in a cluster."""
    said, logs = getattr(record, "rule_msg", None) or "", getattr(record, "log", None) or []
    marks = [Workspace.here().sealed_name(path) for path in getattr(record, "output", None) or []]
    artifact = next((name for name in marks if name), None)
    what = artifact or f"rule {getattr(record, 'rule_name', '?')}"
    if job := JOB_FAILED.search(said):
        return Failure(what, explain(what, job[1], Path(logs[-1])), logs[-1], job[1])
    if submission := NOT_SUBMITTED.search(said):
        reason = " ".join(submission[1].removeprefix("sbatch: error: ").split())
        cure = "Correct config/site.yaml, or wait for the cluster; run again."
        return Failure(what, f"✗ {what}  sbatch took no job: {reason}\n{CURE}{cure}")
    return Failure(what, f"✗ {what} did not finish; log: {', '.join(logs or ['none'])}", logs[-1] if logs else "")


def listen(quiet: bool) -> OnlyWhatMatters:
    """Filter Snakemake's log for the rest of this process, in place of an earlier filter."""
    for known in [known for known in logger.filters if isinstance(known, OnlyWhatMatters)]:
        logger.removeFilter(known)
    made = OnlyWhatMatters(quiet)
    logger.addFilter(made)
    return made
