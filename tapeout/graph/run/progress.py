"""Read the progress of a run: of the plan from Snakemake's marks, of a step from its scratch folder.

Observers lock and write nothing, and read no file that could be large.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tapeout.errors import TapeoutError
from tapeout.graph.bookkeeping import bookkeeping
from tapeout.graph.console import format_duration, print_line
from tapeout.graph.files import read_json, write_atomically
from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.digest import canonical
from tapeout.graph.launch.process import start_time
from tapeout.graph.workspace import LATER, OLD, Workspace
from tapeout.progress import MARK

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_WRITES = 2.0
PROGRESS = "progress.json"
"""File in the scratch folder of a running step with its artifact, process, host, job and latest progress."""
STEP_FIELDS = {"artifact", "pid", "start_ticks", "host", "node", "job", "started", "earlier_seconds", "time"}
"""Fields of every such file."""


@dataclass
class PlanProgress:
    """Plan of the last run, and which of its artifacts are done; empty if another version of Tapeout wrote it.

    Attributes:
        workspace: the folder of the run.
        completed: artifacts that ``update`` has found to be done; they remain so and are not checked again.
    """

    workspace: Workspace
    completed: set[str] = field(default_factory=set)

    @cached_property
    def _plan(self) -> tuple[set[str], set[str], dict[str, str], dict[str, Recipe]]:
        """Artifacts, forced artifacts, heads of batches by member, and recipes of what is to be built."""
        try:
            plan = read_json(self.workspace.plan_path)
            forced = set(plan["forced"])
            heads = {member: head for head, members in plan["batches"].items() for member in members}
            recipes = {name: Recipe.from_json(plan["recipes"][name]) for name in sorted(forced | heads.keys())}
            return set(plan["recipes"]), forced, heads, recipes
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return set(), set(), {}, {}

    @property
    def artifacts(self) -> set[str]:
        """Everything that the targets need, whether it has to be built or not."""
        return self._plan[0]

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Recipes of the artifacts to build, unless they turn out to be cut off."""
        return self._plan[3]

    @cached_property
    def depth(self) -> dict[str, int]:
        """Length of the longest chain of planned steps upstream of an artifact."""
        depth: dict[str, int] = {}
        for first in self.recipes:
            stack = [first]
            while stack:
                needs = [name for name in self.recipes[stack[-1]].dependencies() if name in self.recipes]
                if missing := [name for name in needs if name not in depth]:
                    stack += missing
                else:
                    depth[stack.pop()] = 1 + max((depth[name] for name in needs), default=-1)
        return depth

    def update(self) -> set[str]:
        """Read the marks again, and return the artifacts that are done: built, cut off or restored."""
        unresolved: dict[str, bool] = {}
        _, forced, heads, _ = self._plan
        for name in sorted(self.recipes, key=lambda name: self.depth[name]):
            if name in self.completed or self.missing_inputs(name):
                continue
            head = heads.get(name)
            if head is not None and head not in unresolved:
                unresolved[head] = _mtime(self.workspace.resolved_path(head)) <= OLD
            if head is None or not unresolved[head]:
                sealed = _mtime(self.workspace.sealed_path(name))
                if sealed > (LATER if name in forced else _mtime(self.workspace.action_path(name))):
                    self.completed.add(name)
        return self.completed

    def missing_inputs(self, name: str) -> list[str]:
        """Return the planned inputs of a step that were not done at the last ``update``."""
        return [
            need for need in self.recipes[name].dependencies() if need in self.recipes and need not in self.completed
        ]


def _mtime(path: Path) -> float:
    """Return the modification time of a mark; 0 if it does not exist."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


class StepProgress:
    """Progress of the running step: printed every few seconds, and written to ``PROGRESS`` for observers.

    Attributes:
        path: the file.
        earlier_seconds: duration of the attempts whose checkpoint this one resumes from.
    """

    def __init__(self, artifact: str, folder: Path) -> None:
        self.artifact = artifact
        self.path = folder / PROGRESS
        self.earlier_seconds = earlier_seconds(folder)
        self.first: tuple[float, float] | None = None
        self.printed = self.written = 0.0
        self.constant: dict[str, Any] = {
            "artifact": artifact,
            "pid": os.getpid(),
            "start_ticks": start_time(os.getpid()),
            "host": socket.gethostname(),
            "node": os.environ.get("SLURMD_NODENAME", ""),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "started": time.time(),
            "earlier_seconds": self.earlier_seconds,
        }
        self._write({})

    def show(self, line: str) -> bool:
        """Process a line of the program's output; return False if it does not report progress."""
        if not line.startswith(MARK):
            return False
        try:
            values = json.loads(line.removeprefix(MARK))
            done, total = values.pop("done"), values.pop("total")
        except (ValueError, KeyError, AttributeError):
            return False
        now = time.monotonic()
        if self.first is None:
            self.first = (now, done)
        first_time, first_done = self.first
        remaining = (total - done) * (now - first_time) / (done - first_done) if done > first_done else None
        if now - self.written >= SECONDS_BETWEEN_WRITES or done >= total:
            self.written = now
            self._write({"done": done, "total": total, "remaining": remaining, "values": values})
        if now - self.printed >= SECONDS_BETWEEN_LINES or done >= total:
            self.printed = now
            details = "".join(f"  {name} {value}" for name, value in values.items())
            left = f"  remaining {format_duration(remaining)}" if remaining is not None else ""
            print_line(f". {self.artifact}  {done}/{total}{details}{left}")
        return True

    def _write(self, progress: dict[str, Any]) -> None:
        with bookkeeping(f"The progress of {self.artifact} cannot be noted"):
            write_atomically(self.path, canonical(self.constant | progress | {"time": time.time()}) + b"\n")


@contextlib.contextmanager
def record_error(folder: Path) -> Iterator[None]:
    """Add the error that ends a step to its progress file, for observers."""
    try:
        yield
    except TapeoutError as error:
        with bookkeeping("The failure cannot be noted"):
            if (progress := read_step(folder / PROGRESS)) is not None:
                failed = progress | {"error": str(error), "time": time.time()}
                write_atomically(folder / PROGRESS, canonical(failed) + b"\n")
        raise


def earlier_seconds(folder: Path) -> float:
    """Return how long earlier attempts ran until they saved the checkpoint from which the next one resumes."""
    progress = read_step(folder / PROGRESS)
    saved = [path.stat().st_mtime for path in (folder / "state").rglob("*") if path.is_file()]
    if progress is None or not saved:
        return 0.0
    return float(progress["earlier_seconds"] + max(0.0, max(saved) - progress["started"]))


def read_step(path: Path) -> dict[str, Any] | None:
    """Read a progress file; None if it does not exist (any more), is damaged, or is another version's."""
    try:
        progress: dict[str, Any] = read_json(path)
    except (FileNotFoundError, ValueError):
        return None
    return progress if isinstance(progress, dict) and progress.keys() >= STEP_FIELDS else None


def read_steps(work: Path) -> list[dict[str, Any]]:
    """Return the progress of steps that run, or were killed, with their action digests, sorted by artifact and time."""
    files = [(path, read_step(path)) for path in sorted(work.glob(f"*/{PROGRESS}"))]
    steps = [progress | {"action": path.parent.name} for path, progress in files if progress is not None]
    return sorted(steps, key=lambda progress: (progress["artifact"], progress["time"]))
