"""Forecast of a run's cost: time, CPU, GPU and node hours, bytes to download and to store.

The time of a step is taken from the journal if that has a build with the same rule, parameters and amount of work; else
it is computed from the step's FLOP and the rate of such machines; else it is that of the last build, or the typical
time of the rule. Cost hints are resources of a rule, or come from a table (``Layer(costs=...)``). They are not part of
a step's identity:

- ``typical_seconds``: duration; together with ``gflop``, the part of it that does not grow with the work;
- ``typical_bytes``: size of the artifact;
- ``gflop``: 10^9 FLOP to compute; ``parameters``: weights to convert; ``download_bytes``: bytes still to be downloaded
  (None: unknown). Two builds have the same amount of work if these three are equal;
- ``gpu``, ``gpu_model``, ``gres``, ``nodes``: hardware, with the meaning that the Slurm executor gives them;
- ``device``: ``cpu`` if the step does not compute on the GPUs that it gets.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tapeout.combinations import unscoped
from tapeout.graph.identity.action import WORK, Recipe, work
from tapeout.graph.plan import rates
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.outlook import Outlook, outlooks
from tapeout.graph.workspace import State, Workspace

COSTS = (*WORK, "typical_seconds", "typical_bytes", "gpu", "gpu_model", "gres", "nodes", "device")
"""Resources that the forecast reads."""
TEXT_COSTS = ("gpu_model", "gres", "device")
"""Those that are not numbers."""

CORES, JOBS = "_cores", "_nodes"
LIMITS = (CORES, JOBS, "gpu")
"""Snakemake's names of limited resources: cores, jobs on a cluster, GPUs."""


class Origin(StrEnum):
    """Origin of a number, as shown to users."""

    RECORDED = "recorded"
    ELSEWHERE = "elsewhere"
    MODEL = "model"
    ASSUMED = "assumed"
    SIMILAR = "similar"
    RULE = "rule"
    UNKNOWN = "unknown"


MEANINGS = {
    Origin.RECORDED: "last build with this rule, these parameters and this amount of work",
    Origin.ELSEWHERE: "the same on another kind of machine",
    Origin.MODEL: "FLOP of the step at the rate of recorded steps",
    Origin.ASSUMED: "FLOP of the step at an assumed rate: nothing was recorded on such a machine",
    Origin.SIMILAR: "last build with other parameters",
    Origin.RULE: "hint of the rule: typical, or computed from the configuration",
    Origin.UNKNOWN: "nothing is known; counted as 0",
}


@dataclass(frozen=True)
class Step:
    """One build step that runs, or may run.

    Attributes:
        artifact: artifact that it makes.
        rule: its rule.
        state: its decision.
        certain: whether it runs in any case. Otherwise the store has its output for other inputs, or a remote may have
            it, so that it may be cut off or restored.
        waits_for: inputs that are not built yet.
        seconds: duration; None if unknown.
        seconds_from: origin of ``seconds``.
        machine: kind of machine or model of GPU to which ``seconds`` applies.
        threads: number of CPU threads.
        gpus: number of GPUs, 0 without.
        nodes: number of nodes, 0 without GPUs.
        gflop: 10^9 FLOP; None if unknown.
        download: bytes to download; None if unknown.
        stored: bytes that it adds to the store; None if unknown.
        stored_from: origin of ``stored``.
        likely: whether it probably runs; see ``plan.outlook``.
        changes: whether its bytes probably change, so that steps that wait for it run.
        basis: why its bytes probably change or not.
    """

    artifact: str
    rule: str
    state: State
    certain: bool
    waits_for: tuple[str, ...]
    seconds: float | None
    seconds_from: Origin
    machine: str
    threads: int
    gpus: int
    nodes: int
    gflop: int | None
    download: int | None
    stored: int | None
    stored_from: Origin
    likely: bool = True
    changes: bool = True
    basis: str = ""

    def hours(self, units: int) -> float:
        """Return its duration in hours multiplied by a number of threads, GPUs or nodes."""
        return (self.seconds or 0.0) * units / 3600


@dataclass(frozen=True)
class Totals:
    """Sums over steps, in which unknown values count as 0. Times are in seconds, sizes in bytes."""

    jobs: int
    wall: float
    one_after_another: float
    cpu_hours: float
    gpu_hours: float
    node_hours: float
    download: int
    stored: int


@dataclass(frozen=True)
class Forecast:
    """Forecast of a run.

    Attributes:
        counts: number of artifacts by state; a forced build counts as a build.
        again: existing artifacts that are built again and compared, because the user forces it.
        fetched: number of artifacts that the remote sends.
        fetched_bytes: bytes that it sends for them.
        steps: steps that run or may run, in dependency order.
        limits: available resources by Snakemake's names; a missing one is unlimited.
        at_least: totals of the steps that certainly run.
        likely: totals of the steps that probably run.
        at_most: totals of all steps.
    """

    counts: dict[State, int]
    again: tuple[str, ...]
    fetched: int
    fetched_bytes: int
    steps: tuple[Step, ...]
    limits: dict[str, int]
    at_least: Totals
    likely: Totals
    at_most: Totals

    @property
    def cached(self) -> int:
        """Number of artifacts in place or in the store, which are not built."""
        return self.counts[State.CURRENT] + self.counts[State.RESTORE]


def forecast(
    workspace: Workspace, decisions: Iterable[Decision], forced: Iterable[str], limits: dict[str, int]
) -> Forecast:
    """Forecast what a run would do.

    Args:
        workspace: its store has the journal and the sizes of artifacts, which are only read if something runs.
        decisions: decisions in dependency order.
        forced: artifacts to be built again in any case.
        limits: available cores (``_cores``), jobs (``_nodes``) and GPUs (``gpu``).
    """
    decisions, forced = list(decisions), set(forced)
    cached = (State.CURRENT, State.RESTORE)
    again = tuple(d.recipe.artifact for d in decisions if d.state in cached and d.recipe.artifact in forced)
    to_run = [d for d in decisions if d.state not in cached or d.recipe.artifact in again]
    journal = workspace.store.journal() if to_run else []
    estimator = _Estimator(workspace, journal)
    steps = tuple(estimator.step(decision, limits, decision.recipe.artifact in again) for decision in to_run)
    certain = [step.certain for step in steps]
    outlook = outlooks(workspace, zip(to_run, certain, strict=True), set(again), journal)
    steps = tuple(_with_outlook(step, outlook[step.artifact]) for step in steps)
    needs = {decision.recipe.artifact: decision.recipe.dependencies() for decision in to_run}
    downloads = [decision.download for decision in decisions if decision.download is not None]
    states = [State.BUILD if d.recipe.artifact in again else d.state for d in decisions]
    return Forecast(
        counts={state: states.count(state) for state in State},
        again=again,
        fetched=len(downloads),
        fetched_bytes=sum(downloads),
        steps=steps,
        limits=limits,
        at_least=_totals([step for step in steps if step.certain], needs, limits, sum(downloads)),
        likely=_totals([step for step in steps if step.likely], needs, limits, sum(downloads)),
        at_most=_totals(steps, needs, limits, sum(downloads)),
    )


def _with_outlook(step: Step, outlook: Outlook) -> Step:
    return replace(step, likely=outlook.runs, changes=outlook.changes, basis=outlook.basis)


class _Estimator:
    """Estimates the cost of steps from the journal and from cost hints."""

    def __init__(self, workspace: Workspace, journal: list[dict[str, Any]]) -> None:
        self.store = workspace.store
        self.has_remote = workspace.remote is not None
        self.journal = journal
        self.machine = rates.this_machine()
        self.rates: dict[tuple[str, str], float | None] = {}
        self.lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.alike: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in reversed(journal):
            self.lines[line["artifact"]].append(line)
            self.alike[unscoped(line["artifact"])].append(line)

    def step(self, decision: Decision, limits: dict[str, int], again: bool) -> Step:
        """Return a decision with its cost; a step that is built ``again`` is compared and not stored."""
        recipe = decision.recipe
        threads = min(recipe.threads, limits.get(CORES) or 10**9)
        device = rates.device(recipe.resources, threads, self.machine)
        seconds, seconds_from, machine = self._seconds(recipe, device)
        stored, stored_from = (0, Origin.RECORDED) if again else self._stored(recipe)
        return Step(
            artifact=recipe.artifact,
            rule=recipe.rule,
            state=decision.state,
            certain=decision.state is not State.WAITING or not self._may_be_cached(recipe),
            waits_for=decision.waits_for,
            seconds=seconds,
            seconds_from=seconds_from,
            machine=machine,
            threads=threads,
            gpus=rates.allocated_gpus(recipe.resources),
            nodes=rates.nodes(recipe.resources),
            gflop=_number(recipe, "gflop"),
            download=_number(recipe, "download_bytes") if "download_bytes" in recipe.resources else 0,
            stored=stored,
            stored_from=stored_from,
        )

    def _may_be_cached(self, recipe: Recipe) -> bool:
        """Return whether the store has its output for some inputs, or a remote may have it."""
        if self.has_remote:
            return True
        actions = {line["action"] for line in self.lines[recipe.artifact]}
        entries = (self.store.read_entry(action) for action in sorted(actions))
        step = recipe.describe({})
        return any(entry is not None and {**entry["action"], "inputs": {}} == step for entry in entries)

    def _same_work(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Return the builds with the same rule, parameters and work; of a variant also those of the others."""
        return [line for line in self._builds(recipe) if line.get("recipe") == recipe.cost_key]

    def _builds(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Return the builds of an artifact, latest first, and then those that are its variants."""
        own = self.lines[recipe.artifact]
        return own + [line for line in self.alike[unscoped(recipe.artifact)] if line["artifact"] != recipe.artifact]

    def _seconds(self, recipe: Recipe, device: rates.Device) -> tuple[float | None, Origin, str]:
        # if FLOP are known, the model predicts another number of threads or GPUs better than a record of it
        gflop, typical = _number(recipe, "gflop"), _number(recipe, "typical_seconds")
        lines = [
            line for line in self._same_work(recipe) if not gflop or rates.recorded_device(line).units == device.units
        ]
        for line in lines:
            if rates.recorded_device(line).kind == device.kind:
                return float(line["seconds"]), Origin.RECORDED, device.kind
        for line in lines:
            return float(line["seconds"]), Origin.ELSEWHERE, rates.recorded_device(line).kind
        if gflop:
            rate = self._rate(recipe.base_rule, device.kind)
            seconds = (typical or 0) + gflop * 1e9 / (device.units * (rate or device.assumed))
            return seconds, Origin.MODEL if rate else Origin.ASSUMED, device.kind
        for line in self._builds(recipe):
            if work(line.get("resources", {})) == recipe.work:
                return float(line["seconds"]), Origin.SIMILAR, rates.recorded_device(line).kind
        return (None, Origin.UNKNOWN, "") if typical is None else (float(typical), Origin.RULE, "")

    def _rate(self, rule: str, kind: str) -> float | None:
        if (rule, kind) not in self.rates:
            self.rates[rule, kind] = rates.measured(self.journal, rule, kind)
        return self.rates[rule, kind]

    def _stored(self, recipe: Recipe) -> tuple[int | None, Origin]:
        for line in self._same_work(recipe):
            if (manifest := self.store.find(line["action"])) is not None:
                return manifest.size, Origin.RECORDED
        if (typical := _number(recipe, "typical_bytes")) is not None:
            return typical, Origin.RULE
        for line in self._builds(recipe):
            if (manifest := self.store.find(line["action"])) is not None:
                return manifest.size, Origin.SIMILAR
        return None, Origin.UNKNOWN


def _number(recipe: Recipe, name: str) -> int | None:
    value = recipe.resources.get(name)
    return None if value is None else int(value)


def _totals(steps: Iterable[Step], needs: dict[str, list[str]], limits: dict[str, int], fetched: int) -> Totals:
    steps = list(steps)
    return Totals(
        jobs=len(steps),
        wall=schedule(steps, needs, limits),
        one_after_another=sum(step.seconds or 0.0 for step in steps),
        cpu_hours=sum(step.hours(step.threads) for step in steps),
        gpu_hours=sum(step.hours(step.gpus) for step in steps),
        node_hours=sum(step.hours(step.nodes) for step in steps),
        download=fetched + sum(step.download or 0 for step in steps),
        stored=sum(step.stored or 0 for step in steps),
    )


def schedule(steps: Iterable[Step], needs: dict[str, list[str]], limits: dict[str, int]) -> float:
    """Return the seconds until the last step ends if every step starts as soon as its inputs and resources are free.

    As in Snakemake's scheduler, a job that requests more than there is gets all of it. Of several jobs that could start
    the first of the plan does; Snakemake's own choice is arbitrary. Time in a cluster's queue is not counted.
    """
    by_name = {step.artifact: (rank, _request(step, limits), step) for rank, step in enumerate(steps)}
    missing = {name: sum(1 for need in needs[name] if need in by_name) for name in by_name}
    downstream: dict[str, list[str]] = defaultdict(list)
    for name in by_name:
        for need in needs[name]:
            downstream[need].append(name)
    # one queue per request: only the first of the steps with equal requests can be the next to start
    ready: dict[tuple[int, ...], list[tuple[int, str]]] = defaultdict(list)
    for name, (rank, request, _) in by_name.items():
        if not missing[name]:
            heapq.heappush(ready[request], (rank, name))
    running: list[tuple[float, int, str]] = []
    free, now = tuple(limits.values()), 0.0
    while True:
        startable = [queue[0] for request, queue in ready.items() if queue and _fits(request, free)]
        if startable:
            rank, name = min(startable)
            _, request, step = by_name[name]
            heapq.heappop(ready[request])
            heapq.heappush(running, (now + (step.seconds or 0.0), rank, name))
            free = tuple(left - taken for left, taken in zip(free, request, strict=True))
        elif running:
            now, _, ended = heapq.heappop(running)
            free = tuple(left + taken for left, taken in zip(free, by_name[ended][1], strict=True))
            for name in downstream[ended]:
                missing[name] -= 1
                if not missing[name]:
                    heapq.heappush(ready[by_name[name][1]], (by_name[name][0], name))
        else:
            return now


def _request(step: Step, limits: dict[str, int]) -> tuple[int, ...]:
    """Return what a step requests of each limited resource."""
    requests = {CORES: step.threads, JOBS: 1, "gpu": step.gpus}
    return tuple(min(requests[name], limit) for name, limit in limits.items())


def _fits(request: tuple[int, ...], free: tuple[int, ...]) -> bool:
    return all(taken <= left for taken, left in zip(request, free, strict=True))
