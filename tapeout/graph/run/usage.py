"""What a run took, against what it was to take."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tapeout.graph.console import format_duration
from tapeout.graph.plan.describe import LEAST_HOURS, duration, hours, span, wrapped
from tapeout.graph.plan.rates import granted
from tapeout.graph.run.plan_progress import Planned
from tapeout.graph.run.run_record import Course
from tapeout.graph.workspace import Workspace
from tapeout.slurm.accounting import Attempt, attempts
from tapeout.slurm.client import SLURM, SlurmUnavailable

LEAST_WAIT = 1.0
"""Seconds in the queue that are not worth a word."""


@dataclass(frozen=True)
class Spent:
    """What a run took.

    Attributes:
        built: steps that it carried out.
        spared: planned ones that turned out to be there: cut off, or restored within the run.
        left: planned ones that it did not come to.
        failed: jobs that failed.
        wall: seconds.
        cpu_hours: of the threads of the steps that were built.
        gpu_hours: of the GPUs that its jobs held, those that failed or went back into the queue included.
        waiting: seconds in which jobs waited in the queue and none ran.
        accounted: whether the cluster's accounting says so; else ``gpu_hours`` are those of what was built.
    """

    built: int
    spared: int
    left: int
    failed: int
    wall: float
    cpu_hours: float
    gpu_hours: float
    waiting: float
    accounted: bool


def spent(workspace: Workspace, course: Course, now: float) -> Spent:
    """Reckon what a run took until ``now``."""
    lines = [line for line in workspace.store.journal() if line.get("run") == course.run]
    done = Planned(workspace).done() & set(course.seconds)
    held = _held(course)
    local = [line for line in lines if not line.get("job")] if held is not None else lines
    gpu_hours = sum(granted(line["resources"]) * line["seconds"] / 3600 for line in local)
    waits = [(one.submitted, one.started) for one in held or []]
    runs = [(one.started, one.ended) for one in held or []] + [_interval(line) for line in local]
    built = {line["artifact"] for line in lines}
    return Spent(
        built=len(built),
        spared=len(done - built),
        left=len(set(course.seconds) - done - built),
        failed=len({failure.artifact for failure in course.failures} - done - built),
        wall=now - course.begun,
        cpu_hours=sum(line["threads"] * line["seconds"] / 3600 for line in lines),
        gpu_hours=gpu_hours + sum(one.gpu_hours for one in held or []),
        waiting=_only(waits, runs),
        accounted=held is not None or course.executor != SLURM,
    )


def _held(course: Course) -> list[Attempt] | None:
    """What the jobs of a run held; None if the accounting does not tell."""
    if course.executor != SLURM:
        return None
    try:
        found = attempts(str(Path.cwd()), course.begun)
    except SlurmUnavailable:
        return None
    gpus = any(one.gpus is not None for one in found)  # not every site counts them
    return found if gpus or not course.at_most.gpu_hours else None


def _interval(line: dict[str, Any]) -> tuple[float, float]:
    end = datetime.fromisoformat(line["finished"]).timestamp()
    return end - line["seconds"], end


def _only(waits: Iterable[tuple[float, float]], runs: Iterable[tuple[float, float]]) -> float:
    """How long something waited and nothing ran."""
    edges = [(at, 0, step) for a, b in waits if b > a for at, step in ((a, 1), (b, -1))]
    edges += [(at, 1, step) for a, b in runs if b > a for at, step in ((a, 1), (b, -1))]
    total, before, counts = 0.0, 0.0, [0, 0]
    for at, which, step in sorted(edges):
        if counts[0] and not counts[1]:
            total += at - before
        counts[which] += step
        before = at
    return total


def words(took: Spent, course: Course) -> str:
    """One line on what a run took, and one on what it was to take."""
    counts = [f"Built {took.built} of {took.built + took.left}" if took.left else f"Built {took.built}"]
    time = format_duration(took.wall) if took.wall < 3600 else duration(took.wall)
    counts[0] += f" in {time}"
    counts += [f"{took.spared} cut off or restored"] if took.spared else []
    counts += [f"{took.failed} failed"] if took.failed else []
    used = _hours((took.cpu_hours, took.cpu_hours, "CPU"), (took.gpu_hours, took.gpu_hours, "GPU"))
    if took.gpu_hours >= LEAST_HOURS and not took.accounted:
        used[-1] += " of steps that were built (no accounting)"
    used += [f"{duration(took.waiting)} only waiting in the queue"] if took.waiting >= LEAST_WAIT else []
    again = " Run again to go on." if took.left and not took.failed else ""
    line = ", ".join(counts) + (f": {', '.join(used)}" if used else "") + f".{again}"
    return "\n".join(filter(None, [wrapped(line), _expected(course)]))


def _expected(course: Course) -> str:
    least, most = course.at_least, course.at_most
    if course.unknown == len(course.seconds):
        return ""
    parts = [f"{span(str(least.jobs), str(most.jobs))} job{'s' if most.jobs > 1 else ''}"]
    parts.append(span(duration(least.wall), duration(most.wall)))
    parts += _hours(*((getattr(least, name), getattr(most, name), what) for name, what in HOURS))
    parts += [f"time of {course.unknown} not known"] if course.unknown else []
    return wrapped(f"Forecast: {', '.join(parts)}.")


HOURS = (("cpu_hours", "CPU"), ("gpu_hours", "GPU"))


def _hours(*known: tuple[float, float, str]) -> list[str]:
    return [f"{span(hours(low), hours(high))} {what} hours" for low, high, what in known if high >= LEAST_HOURS]
