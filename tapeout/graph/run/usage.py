"""Resources that a run has used, compared with its forecast."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tapeout.graph.console import format_duration
from tapeout.graph.errors import InputChanged, UnreadableState
from tapeout.graph.plan.describe import MIN_HOURS, duration, estimate, hours, span, wrap
from tapeout.graph.plan.rates import allocated_gpus
from tapeout.graph.run.progress import PlanProgress
from tapeout.graph.run.run_record import RunRecord
from tapeout.graph.workspace import Workspace
from tapeout.slurm.client import SLURM, Attempt, SlurmUnavailable, accounted_attempts

MIN_WAIT = 1.0
"""Minimum waiting time in the queue, in seconds, that is printed."""


@dataclass(frozen=True)
class Usage:
    """Resources that a run has used.

    Attributes:
        built: number of steps that it executed.
        skipped: number of planned steps that it did not need: cut off, or restored within the run.
        remaining: number of planned steps that it did not reach.
        failed: number of artifacts whose job failed and that were not built later.
        wall: duration in seconds.
        cpu_hours: threads times duration of the built steps, in hours.
        gpu_hours: hours of GPUs allocated to its jobs, including failed and requeued ones.
        waiting: seconds during which jobs were queued and no job ran.
        accounted: whether ``gpu_hours`` is complete; False if the cluster has no accounting, so that only built steps
            are counted.
    """

    built: int
    skipped: int
    remaining: int
    failed: int
    wall: float
    cpu_hours: float
    gpu_hours: float
    waiting: float
    accounted: bool


def measure(workspace: Workspace, record: RunRecord, now: float) -> Usage:
    """Return the resources used until ``now``, from the journal and the cluster's accounting."""
    lines = [line for line in workspace.store.journal() if line.get("run") == record.run]
    left = unreached(workspace, record)
    attempts = _attempts(record)
    local = [line for line in lines if not line.get("job")] if attempts is not None else lines
    gpu_hours = sum(allocated_gpus(line["resources"]) * line["seconds"] / 3600 for line in local)
    waits = [(attempt.submitted, attempt.started) for attempt in attempts or []]
    runs = [(attempt.started, attempt.ended) for attempt in attempts or []] + [_interval(line) for line in local]
    built = {line["artifact"] for line in lines}
    return Usage(
        built=len(built),
        skipped=len(set(record.seconds) - built - left),
        remaining=len(left),
        failed=len({failure.artifact for failure in record.failures} - (set(record.seconds) - left)),
        wall=now - record.started,
        cpu_hours=sum(line["threads"] * line["seconds"] / 3600 for line in lines),
        gpu_hours=gpu_hours + sum(attempt.gpu_hours for attempt in attempts or []),
        waiting=_seconds_only_waiting(waits, runs),
        accounted=attempts is not None or record.executor != SLURM,
    )


def unreached(workspace: Workspace, record: RunRecord) -> set[str]:
    """Return the planned artifacts that a run has neither built nor restored nor found current.

    The times of marks do not show this: Snakemake skips steps if something touches files during the run.
    """
    built = {line["artifact"] for line in workspace.store.journal() if line.get("run") == record.run}
    done = PlanProgress(workspace).update()

    def is_current(name: str) -> bool:
        try:
            workspace.built_manifest(name)
        except (InputChanged, UnreadableState):
            return False
        return True

    return {name for name in set(record.seconds) - built if name not in done or not is_current(name)}


def _attempts(record: RunRecord) -> list[Attempt] | None:
    """Return the allocations of a run's jobs; None without a cluster or with no, or incomplete, accounting."""
    if record.executor != SLURM:
        return None
    try:
        attempts = accounted_attempts(str(Path.cwd()), record.started)
    except SlurmUnavailable:
        return None
    counts_gpus = any(attempt.gpus is not None for attempt in attempts)  # not every site accounts for GPUs
    return attempts if counts_gpus or not record.at_most.gpu_hours else None


def _interval(line: dict[str, Any]) -> tuple[float, float]:
    end = datetime.fromisoformat(line["finished"]).timestamp()
    return end - line["seconds"], end


def _seconds_only_waiting(waits: Iterable[tuple[float, float]], runs: Iterable[tuple[float, float]]) -> float:
    """Return the total time that lies in an interval of ``waits`` but in none of ``runs``."""
    edges = [(at, 0, step) for a, b in waits if b > a for at, step in ((a, 1), (b, -1))]
    edges += [(at, 1, step) for a, b in runs if b > a for at, step in ((a, 1), (b, -1))]
    total, previous, open_intervals = 0.0, 0.0, [0, 0]
    for at, kind, step in sorted(edges):
        if open_intervals[0] and not open_intervals[1]:
            total += at - previous
        open_intervals[kind] += step
        previous = at
    return total


def summarize(workspace: Workspace, record: RunRecord, now: float) -> tuple[str, bool]:
    """Return the summary of a run until ``now``, and whether to print it: if a step was built or GPU time was used."""
    usage = measure(workspace, record, now)
    return describe_usage(usage, record), bool(usage.built or usage.gpu_hours)


def describe_usage(usage: Usage, record: RunRecord) -> str:
    """Return one line with the resources used, and one with the forecast."""
    planned = usage.built + usage.remaining
    counts = [f"Built {usage.built} of {planned}" if usage.remaining else f"Built {usage.built}"]
    counts[0] += f" in {format_duration(usage.wall) if usage.wall < 3600 else duration(usage.wall)}"
    counts += [f"{usage.skipped} cut off or restored"] if usage.skipped else []
    counts += [f"{usage.failed} failed"] if usage.failed else []
    used = _hours((usage.cpu_hours, usage.cpu_hours, "CPU"), (usage.gpu_hours, usage.gpu_hours, "GPU"))
    if usage.gpu_hours >= MIN_HOURS and not usage.accounted:
        used[-1] += " of steps that were built (no accounting)"
    used += [f"{duration(usage.waiting)} only waiting in the queue"] if usage.waiting >= MIN_WAIT else []
    advice = " Run again to continue." if usage.remaining and not usage.failed else ""
    line = ", ".join(counts) + (f": {', '.join(used)}" if used else "") + f".{advice}"
    return "\n".join(filter(None, [wrap(line), _describe_forecast(record)]))


def _describe_forecast(record: RunRecord) -> str:
    least, likely, most = record.at_least, record.likely, record.at_most
    if record.unknown == len(record.seconds):
        return ""
    parts = [f"{estimate(str(least.jobs), str(likely.jobs), str(most.jobs))} job{'s' if most.jobs > 1 else ''}"]
    parts.append(estimate(*(duration(total.wall) for total in (least, likely, most))))
    parts += _hours((least.cpu_hours, most.cpu_hours, "CPU"), (least.gpu_hours, most.gpu_hours, "GPU"))
    parts += [f"time of {record.unknown} unknown"] if record.unknown else []
    return wrap(f"Forecast: {', '.join(parts)}.")


def _hours(*known: tuple[float, float, str]) -> list[str]:
    return [f"{span(hours(low), hours(high))} {unit} hours" for low, high, unit in known if high >= MIN_HOURS]
