"""A folder whose artifacts the layer has decided, for tests of what observers of a run see."""

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tapeout.graph.identity.action import Action, Recipe, Reference
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.launch.process import start_time
from tapeout.graph.plan.decide import Decision, batches, mark
from tapeout.graph.plan.forecast import Forecast, Origin, Step, Totals
from tapeout.graph.run.monitor import Monitor, Queue, Row, View
from tapeout.graph.run.progress import PROGRESS
from tapeout.graph.run.run_record import RunRecord
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import State, Workspace
from tapeout.slurm.client import Job

NEEDS = {
    "raw": [],
    "words": ["raw"],
    "model": ["words"],
    "notes/de": [],
    "notes/en": [],
    "report": ["model", "notes/de"],
}
WILDCARDS = {"notes/de": ("de",), "notes/en": ("en",)}
TOTALS = Totals(5, 100.0, 100.0, 0.1, 0.0, 0.0, 0, 0)


class PlannedRun:
    """A folder in which ``raw`` exists and everything else is planned."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(Store(root / "store"), root / "results", root / "work", root / "runs")
        self.recipes = {
            name: Recipe(
                *(name, "notes" if name in WILDCARDS else name, "s.py", {}, "light", "e", {}),
                {need: Reference(need) for need in needs},
                {"gres": "gpu:8", "nodes": 2} if name == "model" else {},
                wildcards=WILDCARDS.get(name, ()),
            )
            for name, needs in NEEDS.items()
        }
        self.monitor = Monitor(self.workspace, str(root))
        self.decide({"raw": State.CURRENT, "words": State.BUILD, "notes/de": State.BUILD, "notes/en": State.BUILD})

    def decide(self, states: dict[str, State], forced: tuple[str, ...] = ()) -> None:
        """Write plan and marks as the layer does; artifacts without a state wait for their inputs."""
        decisions = []
        for name, recipe in self.recipes.items():
            state = states.get(name, State.WAITING)
            action = None if state is State.WAITING else self.action(name)
            waits_for = tuple(recipe.dependencies()) if state is State.WAITING else ()
            decisions.append(Decision(recipe, state, action, waits_for))
        members = batches(decisions)
        self.workspace.write_plan(self.recipes, list(forced), members, Launch())
        mark(self.workspace, decisions, members)

    def action(self, name: str) -> Action:
        """Return the action of an artifact, whose inputs all have the same content."""
        return self.recipes[name].action(lambda need: Manifest(need, "a", "file", (Entry("", False, 1, "d"),)))

    def resolve(self, name: str, state: State = State.BUILD) -> None:
        """Resolve an artifact as the checkpoint does."""
        self.workspace.mark(name, state, self.action(name))
        self.workspace.mark_family(name, resolved=True)

    def begin(self, **more: Any) -> RunRecord:
        """Record a run of this process that began a minute ago and expects 100 s for each step."""
        steps = [
            Step(name, name, State.BUILD, True, (), 100.0, Origin.RULE, "", 1, 0, 0, None, 0, 0, Origin.RULE)
            for name in NEEDS
            if name != "raw"
        ]
        cost = Forecast({}, (), 0, 0, tuple(steps), {}, TOTALS, TOTALS, TOTALS)
        record = replace(RunRecord.new("local", ["report"], cost), started=time.time() - 60, **more)
        record.write(self.workspace)
        return record

    def progress(self, name: str, pid: int | None = None, **more: Any) -> None:
        """Write the progress file of a step that began 30 s ago in process ``pid`` (of this process by default)."""
        folder = self.workspace.work / self.action(name).digest
        folder.mkdir(parents=True, exist_ok=True)
        now, pid = time.time(), os.getpid() if pid is None else pid
        process = {"pid": pid, "start_ticks": start_time(pid), "host": socket.gethostname(), "node": "", "job": ""}
        known = {"artifact": name, **process, "earlier_seconds": 0, "started": now - 30, "time": now}
        (folder / PROGRESS).write_text(json.dumps(known | more))

    def rows(self, *jobs: Job, error: str = "") -> dict[str, Row]:
        """Return the rows of a view by artifact, with these jobs in the queue."""
        queue = Queue(self.monitor.folder, list(jobs), time.time(), error)
        self.monitor.queue = queue if jobs or error else None
        return {row.artifact: row for row in self.view().rows}

    def view(self) -> View:
        """Return the run at this moment."""
        return self.monitor.view()
