"""The plan in words: what will run, what is there already, and what it costs."""

import re
import textwrap

from tapeout.graph.console import format_size
from tapeout.graph.plan.forecast import CORES, Forecast, Step
from tapeout.graph.workspace import State

WIDTH = 80
LEAST_HOURS = 0.005
"""Below it hours would read 0.00."""


def describe(cost: Forecast, targets: list[str], real: bool) -> str:
    """The plan as a headline and one line for each step that runs or may run.

    Args:
        cost: what is to be done, and what it costs.
        targets: what the run is for.
        real: whether it will run; a dry run says so.
    """
    headline = f"{'Plan' if real else 'Plan (dry run)'} for {', '.join(targets)}: {summary(cost)}."
    width = max((len(step.artifact) for step in cost.steps), default=0)
    return "\n".join([wrapped(headline), *(_line(step, width) for step in cost.steps)])


def wrapped(text: str) -> str:
    """Lines of at most ``WIDTH`` columns, in which a number stays with its unit."""
    joined = re.sub(r"(?<=[\d<]) (?=\S)", "\xa0", text)
    lines = textwrap.wrap(joined, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ")


def summary(cost: Forecast) -> str:
    """Jobs, cache hits, time, hours and bytes in half a sentence; «a to b» where steps may turn out to be cut off."""
    least, most = cost.at_least, cost.at_most
    parts = [jobs(cost)]
    if most.wall:
        times = span(duration(least.wall), duration(most.wall))
        parts.append(f"{times}{where(cost)} ({duration(most.one_after_another)} one after another)")
    for low, high, what in (
        (least.cpu_hours, most.cpu_hours, "CPU"),
        (least.gpu_hours, most.gpu_hours, "GPU"),
        (least.node_hours, most.node_hours, "node"),
    ):
        if high >= LEAST_HOURS:
            parts.append(f"{span(hours(low), hours(high))} {what} hours")
    parts += [f"{format_size(most.download)} to download"] if most.download else []
    parts += [f"{span(format_size(least.stored), format_size(most.stored))} to store"] if most.stored else []
    return ", ".join([*parts, *(f"{what} of {len(names)} not known" for what, names in unknown(cost).items())])


def jobs(cost: Forecast) -> str:
    """Jobs and cache hits."""
    least, most = cost.at_least.jobs, cost.at_most.jobs
    parts = [f"{span(str(least), str(most))} job{'s' if most > 1 else ''}" if most else "nothing to do"]
    if cost.again:
        parts.append(f"{len(cost.again)} of them to build again and compare")
    words = {State.CURRENT: "current", State.RESTORE: "restored"}
    hits = [f"{cost.counts[state]} {word}" for state, word in words.items() if cost.counts[state]]
    if cost.fetched:
        hits.append(f"{cost.fetched} of them from the remote, {format_size(cost.fetched_bytes)}")
    parts.append(f"{cost.cached} cached" + (f" ({', '.join(hits)})" if cost.cached else ""))
    return ", ".join(parts)


def unknown(cost: Forecast) -> dict[str, list[str]]:
    """Artifacts of which a number is not known and counted as 0, by what it is."""
    what = {
        "time": [step.artifact for step in cost.steps if step.seconds is None],
        "download": [step.artifact for step in cost.steps if step.download is None],
        "size": [step.artifact for step in cost.steps if step.stored is None],
    }
    return {name: artifacts for name, artifacts in what.items() if artifacts}


def where(cost: Forecast) -> str:
    """What the wall time is reckoned on."""
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
    maybe = "" if step.certain else "maybe, "
    named = f"{maybe}after {first}{f' and {rest} more' if rest else ''}"
    counted = f"{maybe}after {rest + 1} step{'s' if rest else ''}"
    full = f"{line}  {', '.join([*notes, named])}"
    return full if len(full) <= WIDTH else f"{line}  {', '.join([*notes, counted])}"


def span(low: str, high: str) -> str:
    """A range, or one value where both are the same in words."""
    return high if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """A length of time as a person says it."""
    if seconds < 1:
        return "< 1 s"
    for unit, length, limit in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds / length < limit:
            return f"{seconds / length:.{1 if unit == 'h' else 0}f} {unit}"
    days = seconds / 86400
    return f"{days:.1f} days" if days < 730 else f"{days / 365.25:,.0f} years"


def hours(count: float) -> str:
    """A number of hours."""
    return f"{count:,.0f}" if count >= 100 else f"{count:.1f}" if count >= 10 else f"{count:.2f}"
