"""Record of a folder's latest run: its process, forecast, failures and end.

Snakemake's main process writes the record to ``results/.graph/run.json``; ``tapeout top`` and the summary at the end
read it. Like every file in that folder, it may be deleted.
"""

import atexit
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tapeout.graph.bookkeeping import bookkeeping
from tapeout.graph.configuration import Configuration
from tapeout.graph.console import print_line
from tapeout.graph.files import read_json, write_atomically
from tapeout.graph.identity.digest import canonical
from tapeout.graph.launch.process import start_time
from tapeout.graph.plan.forecast import Forecast, Totals
from tapeout.graph.workspace import Workspace

RUN = "TAPEOUT_RUN"
"""Environment variable with the name of the run that a step belongs to, which the journal records."""


@dataclass(frozen=True)
class Failure:
    """A job that Snakemake reports as failed.

    Attributes:
        artifact: artifact that the job builds; its rule if it builds none.
        text: message shown to the user.
        log: its log file; empty if there is none.
        job: its job number in the cluster; empty for a local job.
    """

    artifact: str
    text: str
    log: str = ""
    job: str = ""


@dataclass(frozen=True)
class RunRecord:
    """State of one run.

    Attributes:
        run: its name.
        pid: Snakemake's main process.
        start_ticks: start time of that process (``process.start_time``), because process ids are reused.
        host: host of that process.
        started: when the run started, in seconds since 1970.
        executor: name of Snakemake's executor.
        targets: artifacts that were requested.
        seconds: forecast duration of each planned step; None if unknown.
        at_least: forecast minimum.
        likely: forecast for the steps that probably run.
        at_most: forecast maximum.
        unknown: number of steps with unknown duration.
        failures: jobs that have failed so far.
        ended: when the run ended, in seconds since 1970; None if it still runs or was killed.
        summary: text printed at the end.
        configuration: configuration of the workflow; None in a record of an earlier version.
    """

    run: str
    pid: int
    start_ticks: int
    host: str
    started: float
    executor: str
    targets: tuple[str, ...]
    seconds: dict[str, float | None]
    at_least: Totals
    likely: Totals
    at_most: Totals
    unknown: int
    failures: tuple[Failure, ...] = ()
    ended: float | None = None
    summary: str = ""
    configuration: Configuration | None = None

    @classmethod
    def new(
        cls, executor: str, targets: list[str], cost: Forecast, configuration: Configuration | None = None
    ) -> "RunRecord":
        """Return the record of a run that this process begins now."""
        seconds = {step.artifact: step.seconds for step in cost.steps}
        return cls(
            run=secrets.token_hex(8),
            pid=os.getpid(),
            start_ticks=start_time(os.getpid()) or 0,
            host=socket.gethostname(),
            started=time.time(),
            executor=executor,
            targets=tuple(targets),
            seconds=seconds,
            at_least=cost.at_least,
            likely=cost.likely,
            at_most=cost.at_most,
            unknown=sum(1 for known in seconds.values() if known is None),
            configuration=configuration,
        )

    @property
    def alive(self) -> bool:
        """True if the run continues; a process on another host cannot be checked and counts as alive until it ends."""
        if self.ended is not None:
            return False
        return self.host != socket.gethostname() or start_time(self.pid) == self.start_ticks

    def with_failure(self, failure: Failure) -> "RunRecord":
        """Return the same record with one more failure."""
        return replace(self, failures=(*self.failures, failure))

    def write(self, workspace: Workspace) -> None:
        """Write the record to its file."""
        write_atomically(_path(workspace), canonical(asdict(self)) + b"\n")

    @classmethod
    def read(cls, workspace: Workspace) -> "RunRecord | None":
        """Read the record of a folder's latest run; None if there is none that can be read."""
        try:
            return cls._from_json(read_json(_path(workspace)))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> "RunRecord":
        totals = {name: Totals(**value[name]) for name in ("at_least", "likely", "at_most")}
        failures = tuple(Failure(**failure) for failure in value["failures"])
        others = {
            "targets": tuple(value["targets"]),
            "configuration": Configuration.from_json(value.get("configuration")),
        }
        return cls(**{**value, **totals, **others, "failures": failures})


class RunRecorder:
    """Recorder that updates the record of this process's run, and prints a summary when the process ends.

    Snakemake's own hooks are not called after an interrupt, hence ``atexit``. A killed process leaves a record
    without an end; ``tapeout top`` then finds that the process no longer exists.

    Args:
        workspace: the folder of the run.
        record: the run.
        summarize: returns a summary of the run up to a given time, and whether to print it.
    """

    def __init__(
        self, workspace: Workspace, record: RunRecord, summarize: Callable[[RunRecord, float], tuple[str, bool]]
    ) -> None:
        self.workspace, self.record, self.summarize = workspace, record, summarize
        os.environ[RUN] = record.run
        record.write(workspace)
        atexit.register(self._end)

    def add_failure(self, failure: Failure) -> None:
        """Record a failed job."""
        self.record = self.record.with_failure(failure)
        self._write(self.record)

    def _write(self, record: RunRecord) -> None:
        with bookkeeping("The record of the run cannot be written"):
            record.write(self.workspace)

    def _end(self) -> None:
        if os.getpid() != self.record.pid:
            return  # a forked child
        now = time.time()
        summary, worth_printing = "", False
        with bookkeeping("The run cannot be summarized"):
            summary, worth_printing = self.summarize(self.record, now)
        self._write(replace(self.record, ended=now, summary=summary))
        if worth_printing:
            print_line(summary)


def _path(workspace: Workspace) -> Path:
    return workspace.graph / "run.json"
