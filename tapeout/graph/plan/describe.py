"""The plan as text: what will run, what exists already, and what it costs."""

import re
import textwrap

from tapeout.graph.console import format_size
from tapeout.graph.plan.forecast import CORES, Forecast, Step
from tapeout.graph.workspace import State

WIDTH = 80
ONLY_IF = "Only if bytes change upstream:"
"""Heading of the steps that may be cut off."""
MAX_REASONS = 5
"""Number of steps whose likely outcome is explained."""
MIN_HOURS = 0.005
"""Smaller numbers of hours would be printed as 0.00 and are left out."""


def describe(cost: Forecast, targets: list[str], real: bool) -> str:
    """Return the plan: a headline, and one line for each step that runs or may run."""
    headline = f"{'Plan' if real else 'Plan (dry run)'} for {', '.join(targets)}: {summary(cost)}."
    width = max((len(step.artifact) for step in cost.steps), default=0)
    certain = [_line(step, width) for step in cost.steps if step.certain]
    others = [_line(step, width) for step in cost.steps if not step.certain]
    reasons = [wrap(reason) for reason in outlook(cost)]
    return "\n".join([wrap(headline), *certain, *([ONLY_IF] if others else []), *others, *reasons])


def outlook(cost: Forecast) -> list[str]:
    """Return a sentence for each step on whose bytes it depends whether others run."""
    decisive = {need for step in cost.steps if not step.certain for need in step.waits_for}
    sentences = [
        f"{step.artifact} probably {'changes' if step.changes else 'keeps its bytes'}: {step.basis}."
        for step in cost.steps
        if step.artifact in decisive and step.likely and step.basis
    ]
    more = len(sentences) - MAX_REASONS
    return [*sentences[:MAX_REASONS], *([f"tapeout cost --json gives the reasons of {more} more."] if more > 0 else [])]


def wrap(text: str) -> str:
    """Wrap text to ``WIDTH`` columns without separating a number from its unit."""
    joined = re.sub(r"(?<=[\d<]) (?=\S)", "\xa0", text)
    lines = textwrap.wrap(joined, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ")


def summary(cost: Forecast) -> str:
    """Return jobs, cache hits, time, hours and bytes; where steps may be cut off, the likely number and the range."""
    totals = (cost.at_least, cost.likely, cost.at_most)
    most = cost.at_most
    parts = [jobs(cost)]
    if most.wall:
        times = estimate(*(duration(total.wall) for total in totals))
        parts.append(f"{times}{on_cores(cost)}, {duration(cost.likely.one_after_another)} one after another")
    for name, unit in (("cpu_hours", "CPU"), ("gpu_hours", "GPU"), ("node_hours", "node")):
        if getattr(most, name) >= MIN_HOURS:
            parts.append(f"{estimate(*(hours(getattr(total, name)) for total in totals))} {unit} hours")
    parts += [f"{format_size(most.download)} to download"] if most.download else []
    parts += [f"{estimate(*(format_size(total.stored) for total in totals))} to store"] if most.stored else []
    return ", ".join([*parts, *(f"{quantity} of {len(names)} unknown" for quantity, names in unknown(cost).items())])


def jobs(cost: Forecast) -> str:
    """Return the number of jobs and of cache hits."""
    least, likely, most = cost.at_least.jobs, cost.likely.jobs, cost.at_most.jobs
    parts = [f"{least} job{'s' if least != 1 else ''}" if most else "nothing to do"]
    if most > least:
        parts = [f"{parts[0]}, and {most - least} more only if bytes change upstream (likely {likely} in all)"]
    if cost.again:
        parts.append(f"{len(cost.again)} of them to build again and compare")
    labels = {State.CURRENT: "current", State.RESTORE: "restored"}
    hits = [f"{cost.counts[state]} {label}" for state, label in labels.items() if cost.counts[state]]
    if cost.fetched:
        hits.append(f"{cost.fetched} of them from the remote, {format_size(cost.fetched_bytes)}")
    parts.append(f"{cost.cached} cached" + (f" ({', '.join(hits)})" if cost.cached else ""))
    return ", ".join(parts)


def unknown(cost: Forecast) -> dict[str, list[str]]:
    """Return the artifacts of which a quantity is unknown and counted as 0, by quantity."""
    artifacts = {
        "time": [step.artifact for step in cost.steps if step.seconds is None],
        "download": [step.artifact for step in cost.steps if step.download is None],
        "size": [step.artifact for step in cost.steps if step.stored is None],
    }
    return {quantity: names for quantity, names in artifacts.items() if names}


def on_cores(cost: Forecast) -> str:
    """Return the number of cores that the wall time assumes, as a part of a sentence."""
    cores = cost.limits.get(CORES)
    return "" if cores is None else f" on {cores} core{'s' if cores > 1 else ''}"


def _line(step: Step, width: int) -> str:
    time = "?" if step.seconds is None else duration(step.seconds)
    line = f"  {step.artifact:{width}} {time:>8}  {step.seconds_from:9}"
    notes = [f"{step.gpus} GPUs"] if step.gpus else []
    if step.download is None or step.download:
        notes.append(f"{'?' if step.download is None else format_size(step.download)} to download")
    if not step.waits_for:
        return f"{line}  {', '.join(notes)}".rstrip()
    first, rest = step.waits_for[0], len(step.waits_for) - 1
    maybe = "" if step.certain else "likely, " if step.likely else "unlikely, "
    named = f"{maybe}after {first}{f' and {rest} more' if rest else ''}"
    counted = f"{maybe}after {rest + 1} step{'s' if rest else ''}"
    full = f"{line}  {', '.join([*notes, named])}"
    return full if len(full) <= WIDTH else f"{line}  {', '.join([*notes, counted])}"


def estimate(low: str, likely: str, high: str) -> str:
    """Return a likely value with its range, or one value if all read the same."""
    return likely if low == high else f"{likely} ({low} to {high})"


def span(low: str, high: str) -> str:
    """Return a range, or one value if both read the same."""
    return high if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """Format a duration with one unit."""
    if seconds < 1:
        return "< 1 s"
    for unit, length, limit in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds / length < limit:
            return f"{seconds / length:.{1 if unit == 'h' else 0}f} {unit}"
    days = seconds / 86400
    return f"{days:.1f} days" if days < 730 else f"{days / 365.25:,.0f} years"


def hours(count: float) -> str:
    """Format a number of hours with three significant digits."""
    return f"{count:,.0f}" if count >= 100 else f"{count:.1f}" if count >= 10 else f"{count:.2f}"
