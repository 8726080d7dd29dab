"""``tapeout cost``: what a run would do and take, before it is paid."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.table import Table
from snakemake.utils import available_cpu_count

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.console import format_size
from tapeout.graph.plan.describe import duration, hours, jobs, unknown
from tapeout.graph.plan.forecast import CORES, MEANINGS, Forecast, Step, forecast


def cost(project: Project, as_json: bool, cores: int | None) -> int:
    """Show what would run, its sums at least and at most, and where each number comes from; returns 0 if nothing runs.

    Args:
        project: with the targets that are asked about.
        as_json: print JSON.
        cores: that the run would have; None for all of this machine.
    """
    limits = {CORES: cores or available_cpu_count()}
    found = forecast(project.workspace, project.decisions.values(), [], limits)
    output.show(_value(found, project.targets), as_json, *_words(found, project.targets))
    return 1 if found.steps else 0


def _value(found: Forecast, targets: list[str]) -> dict[str, Any]:
    return {
        "targets": targets,
        "cores": found.limits[CORES],
        "counts": {str(state): count for state, count in found.counts.items()},
        "at_least": asdict(found.at_least),
        "at_most": asdict(found.at_most),
        "unknown": unknown(found),
        "steps": [_row(step) for step in found.steps],
    }


def _row(step: Step) -> dict[str, Any]:
    units = {"cpu_hours": step.threads, "gpu_hours": step.gpus, "node_hours": step.nodes}
    return asdict(step) | {name: step.hours(count) for name, count in units.items()}


def _words(found: Forecast, targets: list[str]) -> list[Table | str]:
    headline = f"{', '.join(targets)}: {jobs(found)}."
    if not found.steps:
        return [headline]
    used = {origin for step in found.steps for origin in (step.seconds_from, step.stored_from)}
    legend = [[str(origin), meaning] for origin, meaning in MEANINGS.items() if origin in used]
    return [
        headline,
        "",
        _sums(found),
        "",
        _steps(found),
        "",
        output.table(["", "meaning"], [*([MAYBE] if _maybe(found) else []), *legend]),
        *(f"\nThe {what} is not known of {', '.join(names)}." for what, names in unknown(found).items()),
    ]


MAYBE = ["maybe", "built before for other inputs, or a remote may have it: then it is cut off or restored"]


def _maybe(found: Forecast) -> bool:
    return not all(step.certain for step in found.steps)


def _sums(found: Forecast) -> Table:
    cores = found.limits[CORES]

    def row(name: str, text: Any, value: str) -> list[str]:
        return [name, text(getattr(found.at_least, value)), text(getattr(found.at_most, value))]

    rows = [
        row("jobs", str, "jobs"),
        row(f"time on {cores} core{'s' if cores > 1 else ''}", duration, "wall"),
        row("time one after another", duration, "one_after_another"),
        row("CPU hours", hours, "cpu_hours"),
        *([row("GPU hours", hours, "gpu_hours")] if found.at_most.gpu_hours else []),
        *([row("node hours", hours, "node_hours")] if found.at_most.node_hours else []),
        row("to download", format_size, "download"),
        row("to store", format_size, "stored"),
    ]
    return output.table(["", ">at least", ">at most"], rows)


def _steps(found: Forecast) -> Table:
    """One row for each step; a column that would say the same in all rows is left out."""

    def known(value: float | None, text: Callable[[float], str]) -> str:
        return "?" if value is None else text(value)

    columns: dict[str, Callable[[Step], str]] = {"artifact": lambda step: step.artifact}
    if _maybe(found):
        columns["runs"] = lambda step: "surely" if step.certain else "maybe"
    columns[">time"] = lambda step: known(step.seconds, duration)
    columns["from"] = lambda step: str(step.seconds_from)
    columns[">CPU h"] = lambda step: known(step.seconds, lambda _: hours(step.hours(step.threads)))
    if any(step.gpus for step in found.steps):
        columns[">GPU h"] = lambda step: known(step.seconds if step.gpus else 0, lambda _: hours(step.hours(step.gpus)))
    if any(step.download != 0 for step in found.steps):
        columns[">download"] = lambda step: known(step.download, format_size) if step.download != 0 else ""
    columns[">to store"] = lambda step: known(step.stored, format_size)
    columns["from "] = lambda step: str(step.stored_from)
    return output.table(list(columns), [[text(step) for text in columns.values()] for step in found.steps])
