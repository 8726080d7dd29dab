"""What a run costs before it is paid: time, CPU, GPU and node hours, bytes to download and to store.

A step's time is the recorded one if the journal has it with the same rule, parameters and amount of work; else it is
reckoned from the FLOP that its rule tells and the rate at which such machines were seen to work; else it is that of the
last build, or what the rule calls typical. A rule tells what it knows as resources, which are no identity:

- ``typical_seconds``: how long it takes; with ``gflop`` the part that does not grow with the work;
- ``typical_bytes``: what it stores;
- ``gflop``: 10^9 FLOP that it computes; ``parameters``: weights that it converts; ``download_bytes``: what it still has
  to download (None: not known). A build is like another only if these are the same;
- ``gpu``, ``gpu_model``, ``gres``, ``nodes``: what it runs on, as the Slurm executor understands them;
- ``device``: ``cpu`` if it computes on no GPU even where it gets some.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tapeout.graph.identity.action import WORK, Recipe, work
from tapeout.graph.plan import rates
from tapeout.graph.plan.decide import Decision
from tapeout.graph.workspace import State, Workspace

COSTS = (*WORK, "typical_seconds", "typical_bytes", "gpu", "gpu_model", "gres", "nodes", "device")
"""Resources of rules that are read here."""
WORDS = ("gpu_model", "gres", "device")
"""Those that are no numbers."""

CORES, JOBS = "_cores", "_nodes"
LIMITS = (CORES, JOBS, "gpu")
"""Snakemake's names of what is limited at a time: cores, jobs on a cluster, GPUs."""


class Origin(StrEnum):
    """Where a number comes from, in the words that people see."""

    RECORDED = "recorded"
    ELSEWHERE = "elsewhere"
    MODEL = "model"
    ASSUMED = "assumed"
    SIMILAR = "similar"
    RULE = "rule"
    UNKNOWN = "unknown"


MEANINGS = {
    Origin.RECORDED: "the last build with this rule, these parameters and this amount of work",
    Origin.ELSEWHERE: "the same, on another kind of machine",
    Origin.MODEL: "FLOP that the rule tells, at the rate of recorded steps",
    Origin.ASSUMED: "FLOP that the rule tells, at an assumed rate: nothing was recorded on such a machine",
    Origin.SIMILAR: "the last build with other parameters",
    Origin.RULE: "what the rule says: typical, or reckoned from the configuration",
    Origin.UNKNOWN: "nothing is known; counted as 0",
}


@dataclass(frozen=True)
class Step:
    """One build step that runs, or may run.

    Attributes:
        certain: it runs whatever comes out of the others; else the store has its output for other inputs, or a remote
            may have it, and it may be cut off or restored.
        seconds: None if nothing is known; so are the bytes.
        machine: what ``seconds`` is of: a kind of machine or a model of GPU.
        threads: CPU threads it gets; ``gpus``, ``nodes``: GPUs and nodes, 0 without.
        gflop: 10^9 FLOP; None if its rule does not tell.
        download: bytes still to be downloaded.
        stored: bytes that it adds to the store.
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

    def hours(self, units: int) -> float:
        """Hours of so many threads, GPUs or nodes."""
        return (self.seconds or 0.0) * units / 3600


@dataclass(frozen=True)
class Totals:
    """Sums over steps; what is not known counts as 0. Times are in seconds, sizes in bytes."""

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
    """What a run would do.

    Attributes:
        counts: artifacts by what is to be done for them; a forced build is a build.
        again: artifacts that are there and are built again, to be compared, because the user forces it.
        fetched: artifacts that the remote sends.
        fetched_bytes: what it sends for them.
        steps: what runs or may run, in dependency order.
        limits: what there is at a time, by Snakemake's names; no entry means no limit.
        at_least: only the steps that surely run.
        at_most: all steps.
    """

    counts: dict[State, int]
    again: tuple[str, ...]
    fetched: int
    fetched_bytes: int
    steps: tuple[Step, ...]
    limits: dict[str, int]
    at_least: Totals
    at_most: Totals

    @property
    def cached(self) -> int:
        """Artifacts that are there, in place or in the store, and are not built."""
        return self.counts[State.CURRENT] + self.counts[State.RESTORE]


def forecast(
    workspace: Workspace, decisions: Iterable[Decision], forced: Iterable[str], limits: dict[str, int]
) -> Forecast:
    """Reckon what a run would do.

    Args:
        workspace: its store has the journal and the sizes of what it has; neither is read if nothing runs.
        decisions: in dependency order.
        forced: artifacts that the user wants built again whatever is there.
        limits: of cores (``_cores``), jobs (``_nodes``) and GPUs (``gpu``) at a time.
    """
    decisions, wanted = list(decisions), set(forced)
    there = (State.CURRENT, State.RESTORE)
    again = tuple(d.recipe.artifact for d in decisions if d.state in there and d.recipe.artifact in wanted)
    busy = [d for d in decisions if d.state not in there or d.recipe.artifact in again]
    book = Book(workspace, workspace.store.journal() if busy else [])
    steps = tuple(book.step(decision, limits, decision.recipe.artifact in again) for decision in busy)
    needs = {decision.recipe.artifact: decision.recipe.dependencies() for decision in busy}
    sent = [decision.download for decision in decisions if decision.download is not None]
    states = [State.BUILD if d.recipe.artifact in again else d.state for d in decisions]
    return Forecast(
        counts={state: states.count(state) for state in State},
        again=again,
        fetched=len(sent),
        fetched_bytes=sum(sent),
        steps=steps,
        limits=limits,
        at_least=_totals([step for step in steps if step.certain], needs, limits, sum(sent)),
        at_most=_totals(steps, needs, limits, sum(sent)),
    )


class Book:
    """The journal, opened where it tells about a step."""

    def __init__(self, workspace: Workspace, journal: list[dict[str, Any]]) -> None:
        self.store = workspace.store
        self.alone = workspace.remote is None
        self.journal = journal
        self.here = rates.here()
        self.rates: dict[tuple[str, str], float | None] = {}
        self.lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in reversed(journal):
            self.lines[line["artifact"]].append(line)

    def step(self, decision: Decision, limits: dict[str, int], again: bool) -> Step:
        """A decision with its cost; what is built ``again`` is compared and not stored."""
        recipe = decision.recipe
        threads = min(recipe.threads, limits.get(CORES) or 10**9)
        device = rates.device(recipe.resources, threads, self.here)
        seconds, seconds_from, machine = self._seconds(recipe, device)
        stored, stored_from = (0, Origin.RECORDED) if again else self._stored(recipe)
        return Step(
            artifact=recipe.artifact,
            rule=recipe.rule,
            state=decision.state,
            certain=decision.state is not State.WAITING or not self._built_before(recipe),
            waits_for=decision.waits_for,
            seconds=seconds,
            seconds_from=seconds_from,
            machine=machine,
            threads=threads,
            gpus=rates.granted(recipe.resources),
            nodes=rates.nodes(recipe.resources),
            gflop=_number(recipe, "gflop"),
            download=_number(recipe, "download_bytes") if "download_bytes" in recipe.resources else 0,
            stored=stored,
            stored_from=stored_from,
        )

    def _built_before(self, recipe: Recipe) -> bool:
        """Whether the store has its output for some inputs, or a remote may; if not, nothing can save its build."""
        if not self.alone:
            return True
        actions = {line["action"] for line in self.lines[recipe.artifact]}
        entries = (self.store.read_entry(action) for action in sorted(actions))
        step = recipe.describe({})
        return any(entry is not None and {**entry["action"], "inputs": {}} == step for entry in entries)

    def _alike(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Builds with the same rule, parameters and work, the last one first."""
        return [line for line in self.lines[recipe.artifact] if line.get("recipe") == recipe.cost_key]

    def _seconds(self, recipe: Recipe, device: rates.Device) -> tuple[float | None, Origin, str]:
        # where the FLOP are known another number of threads or GPUs is better reckoned with than taken as it was
        gflop, typical = _number(recipe, "gflop"), _number(recipe, "typical_seconds")
        alike = [line for line in self._alike(recipe) if not gflop or rates.used(line).units == device.units]
        for line in alike:
            if rates.used(line).kind == device.kind:
                return float(line["seconds"]), Origin.RECORDED, device.kind
        for line in alike:
            return float(line["seconds"]), Origin.ELSEWHERE, rates.used(line).kind
        if gflop:
            rate = self._rate(recipe.rule, device.kind)
            seconds = (typical or 0) + gflop * 1e9 / (device.units * (rate or device.assumed))
            return seconds, Origin.MODEL if rate else Origin.ASSUMED, device.kind
        for line in self.lines[recipe.artifact]:
            if work(line.get("resources", {})) == recipe.work:
                return float(line["seconds"]), Origin.SIMILAR, rates.used(line).kind
        return (None, Origin.UNKNOWN, "") if typical is None else (float(typical), Origin.RULE, "")

    def _rate(self, rule: str, kind: str) -> float | None:
        if (rule, kind) not in self.rates:
            self.rates[rule, kind] = rates.measured(self.journal, rule, kind)
        return self.rates[rule, kind]

    def _stored(self, recipe: Recipe) -> tuple[int | None, Origin]:
        for line in self._alike(recipe):
            if (manifest := self.store.find(line["action"])) is not None:
                return manifest.size, Origin.RECORDED
        if (typical := _number(recipe, "typical_bytes")) is not None:
            return typical, Origin.RULE
        for line in self.lines[recipe.artifact]:
            if (manifest := self.store.find(line["action"])) is not None:
                return manifest.size, Origin.SIMILAR
        return None, Origin.UNKNOWN


def _number(recipe: Recipe, name: str) -> int | None:
    value = recipe.resources.get(name)
    return None if value is None else int(value)


def _totals(steps: Iterable[Step], needs: dict[str, list[str]], limits: dict[str, int], sent: int) -> Totals:
    steps = list(steps)
    return Totals(
        jobs=len(steps),
        wall=schedule(steps, needs, limits),
        one_after_another=sum(step.seconds or 0.0 for step in steps),
        cpu_hours=sum(step.hours(step.threads) for step in steps),
        gpu_hours=sum(step.hours(step.gpus) for step in steps),
        node_hours=sum(step.hours(step.nodes) for step in steps),
        download=sent + sum(step.download or 0 for step in steps),
        stored=sum(step.stored or 0 for step in steps),
    )


def schedule(steps: Iterable[Step], needs: dict[str, list[str]], limits: dict[str, int]) -> float:
    """Seconds from the first start to the last end, if every step starts as soon as its inputs and its share are there.

    Like Snakemake's scheduler: a job that asks for more than there is gets all of it. Among jobs that could start the
    plan's order decides; Snakemake's own choice among equals is arbitrary. Time in a cluster's queue is not counted.
    """
    by_name = {step.artifact: (place, _share(step, limits), step) for place, step in enumerate(steps)}
    missing = {name: sum(1 for need in needs[name] if need in by_name) for name in by_name}
    behind: dict[str, list[str]] = defaultdict(list)
    for name in by_name:
        for need in needs[name]:
            behind[need].append(name)
    # of steps that ask for the same only the first can be the next to start
    ready: dict[tuple[int, ...], list[tuple[int, str]]] = defaultdict(list)
    for name, (place, share, _) in by_name.items():
        if not missing[name]:
            heapq.heappush(ready[share], (place, name))
    running: list[tuple[float, int, str]] = []
    free, now = tuple(limits.values()), 0.0
    while True:
        startable = [queue[0] for share, queue in ready.items() if queue and _fits(share, free)]
        if startable:
            place, name = min(startable)
            _, share, step = by_name[name]
            heapq.heappop(ready[share])
            heapq.heappush(running, (now + (step.seconds or 0.0), place, name))
            free = tuple(left - taken for left, taken in zip(free, share, strict=True))
        elif running:
            now, _, ended = heapq.heappop(running)
            free = tuple(left + taken for left, taken in zip(free, by_name[ended][1], strict=True))
            for name in behind[ended]:
                missing[name] -= 1
                if not missing[name]:
                    heapq.heappush(ready[by_name[name][1]], (by_name[name][0], name))
        else:
            return now


def _share(step: Step, limits: dict[str, int]) -> tuple[int, ...]:
    """What a step takes of each limit."""
    asked = {CORES: step.threads, JOBS: 1, "gpu": step.gpus}
    return tuple(min(asked[name], limit) for name, limit in limits.items())


def _fits(share: tuple[int, ...], free: tuple[int, ...]) -> bool:
    return all(taken <= left for taken, left in zip(share, free, strict=True))
