"""How the last run of a folder goes: who runs it, what it expected, what failed in it and how it ended.

The process that decides keeps this in ``results/.graph/run.json``, for ``tapeout top`` and for what is said at the end.
Like everything in that folder it may be thrown away.
"""

import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tapeout.graph.files import write_atomically
from tapeout.graph.identity.digest import canonical
from tapeout.graph.plan.forecast import Forecast, Totals
from tapeout.graph.workspace import Workspace

RUN = "TAPEOUT_RUN"
"""Variable: the run that a step belongs to, for the journal."""


@dataclass(frozen=True)
class Failure:
    """A job that Snakemake says has failed.

    Attributes:
        artifact: that it was to make; its rule if it was to make none.
        text: what people were told.
        log: of its words; «» if there is none.
        job: its number in the cluster, «» here.
    """

    artifact: str
    text: str
    log: str = ""
    job: str = ""


@dataclass(frozen=True)
class Course:
    """One run.

    Attributes:
        run: its name.
        pid: the process that decides; ``since`` is when it was started, in the kernel's ticks, because numbers return.
        host: where that process is.
        begun: seconds since 1970, as ``ended``, which is None until then and for ever if the process was killed.
        executor: Snakemake's name of what carries out the jobs.
        targets: what the run is for.
        seconds: how long each planned step may take; None where nothing is known.
        at_least: what it was to take at least, ``at_most`` at most.
        unknown: of how many steps the time was not known.
        failures: so far.
        said: what was said in the end.
    """

    run: str
    pid: int
    since: int
    host: str
    begun: float
    executor: str
    targets: tuple[str, ...]
    seconds: dict[str, float | None]
    at_least: Totals
    at_most: Totals
    unknown: int
    failures: tuple[Failure, ...] = ()
    ended: float | None = None
    said: str = ""

    @classmethod
    def new(cls, executor: str, targets: list[str], cost: Forecast) -> "Course":
        """The run of this process, which begins now."""
        seconds = {step.artifact: step.seconds for step in cost.steps}
        return cls(
            run=secrets.token_hex(8),
            pid=os.getpid(),
            since=started(os.getpid()) or 0,
            host=socket.gethostname(),
            begun=time.time(),
            executor=executor,
            targets=tuple(targets),
            seconds=seconds,
            at_least=cost.at_least,
            at_most=cost.at_most,
            unknown=sum(1 for known in seconds.values() if known is None),
        )

    @property
    def alive(self) -> bool:
        """Whether it goes on; of a process on another host that is not known, and believed until it says otherwise."""
        if self.ended is not None:
            return False
        return self.host != socket.gethostname() or started(self.pid) == self.since

    def with_failure(self, failure: Failure) -> "Course":
        """The same with one failure more."""
        return replace(self, failures=(*self.failures, failure))

    def write(self, workspace: Workspace) -> None:
        """Keep it for others."""
        write_atomically(_path(workspace), canonical(asdict(self)) + b"\n")

    @classmethod
    def read(cls, workspace: Workspace) -> "Course | None":
        """The last run of a folder; None if there was none that can be read."""
        try:
            return cls._from_json(json.loads(_path(workspace).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> "Course":
        sums = {name: Totals(**value[name]) for name in ("at_least", "at_most")}
        failures = tuple(Failure(**failure) for failure in value["failures"])
        return cls(**{**value, **sums, "failures": failures, "targets": tuple(value["targets"])})


def started(pid: int) -> int | None:
    """When a process of this machine was started, in ticks since the machine was; None if it is gone."""
    try:
        behind_the_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if behind_the_name[0] in "ZX" else int(behind_the_name[19])


def _path(workspace: Workspace) -> Path:
    return workspace.graph / "run.json"
