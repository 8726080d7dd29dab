"""``tapeout cost``: forecast of the jobs, time, hours and bytes of a run."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from tapeout.cli import cost_memory, output
from tapeout.cli.options import AsJson, ConfigFiles, artifact_names
from tapeout.cli.project import load
from tapeout.graph.console import format_size as size
from tapeout.graph.plan.describe import duration, hours, jobs, outlook, unknown
from tapeout.graph.plan.forecast import CORES, MEANINGS, Forecast, Step, forecast

MAYBE = [
    ["likely", "runs only if bytes change upstream, which is to be expected"],
    ["unlikely", "runs only if bytes change upstream, which is not to be expected"],
]


def cost(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="A rule or an artifact; default: the report.", autocompletion=artifact_names
        ),
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores of the run; default: all.")] = None,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Forecast what a run would do and cost.

    Jobs, cache hits, time, CPU and GPU hours, bytes, and the memory of each training on a GPU, by term.

    Exit code 0 if nothing would run, else 1.
    """
    from snakemake.utils import available_cpu_count  # slow to import, see project.load

    project = load(configfile, target)
    costs = forecast(project.workspace, project.decisions.values(), [], {CORES: cores or available_cpu_count()})
    memory = cost_memory.memory(project.layer.costs, costs.steps)
    value, parts = {**_value(costs, project.targets), "memory": memory}, _parts(costs, project.targets, memory)
    output.show(value, as_json, *parts, configuration=project.configuration)
    raise typer.Exit(1 if costs.steps else 0)


def _value(costs: Forecast, targets: list[str]) -> dict[str, Any]:
    return {
        "targets": targets,
        "cores": costs.limits[CORES],
        "counts": {str(state): count for state, count in costs.counts.items()},
        "at_least": asdict(costs.at_least),
        "likely": asdict(costs.likely),
        "at_most": asdict(costs.at_most),
        "unknown": unknown(costs),
        "steps": [_row(step) for step in costs.steps],
    }


def _row(step: Step) -> dict[str, Any]:
    units = {"cpu_hours": step.threads, "gpu_hours": step.gpus, "node_hours": step.nodes}
    return asdict(step) | {name: step.hours(count) for name, count in units.items()}


def _parts(costs: Forecast, targets: list[str], memory: dict[str, Any]) -> list[Table | str]:
    headline = f"{', '.join(targets)}: {jobs(costs)}."
    if not costs.steps:
        return [headline]
    used = {origin for step in costs.steps for origin in (step.seconds_from, step.stored_from)}
    legend = [[str(origin), meaning] for origin, meaning in MEANINGS.items() if origin in used]
    return [
        headline,
        "",
        _totals(costs),
        "",
        _steps(costs),
        *cost_memory.parts(memory),
        "",
        output.table(["", "meaning"], [*(MAYBE if _maybe(costs) else []), *legend]),
        *(f"\n{reason}" for reason in outlook(costs)),
        *(f"\nThe {what} of {', '.join(names)} is not known." for what, names in unknown(costs).items()),
    ]


def _maybe(costs: Forecast) -> bool:
    return not all(step.certain for step in costs.steps)


def _totals(costs: Forecast) -> Table:
    cores = costs.limits[CORES]

    def row(name: str, text: Any, value: str) -> list[str]:
        return [name, *(text(getattr(total, value)) for total in (costs.at_least, costs.likely, costs.at_most))]

    rows = [
        row("jobs", str, "jobs"),
        row(f"time on {cores} core{'s' if cores > 1 else ''}", duration, "wall"),
        row("time one after another", duration, "one_after_another"),
        row("CPU hours", hours, "cpu_hours"),
        *([row("GPU hours", hours, "gpu_hours")] if costs.at_most.gpu_hours else []),
        *([row("node hours", hours, "node_hours")] if costs.at_most.node_hours else []),
        row("to download", size, "download"),
        row("to store", size, "stored"),
    ]
    return output.table(["", ">at least", ">likely", ">at most"], rows)


def _steps(costs: Forecast) -> Table:
    """Return one row per step; a column that would be the same in all rows is left out."""

    def known(value: float | None, text: Callable[[float], str]) -> str:
        return "?" if value is None else text(value)

    columns: dict[str, Callable[[Step], str]] = {"artifact": lambda step: step.artifact}
    if _maybe(costs):
        columns["runs"] = lambda step: "yes" if step.certain else "likely" if step.likely else "unlikely"
    columns[">time"] = lambda step: known(step.seconds, duration)
    columns["from"] = lambda step: str(step.seconds_from)
    columns[">CPU h"] = lambda step: known(step.seconds, lambda _: hours(step.hours(step.threads)))
    if any(step.gpus for step in costs.steps):
        columns[">GPU h"] = lambda step: known(step.seconds if step.gpus else 0, lambda _: hours(step.hours(step.gpus)))
    if any(step.download != 0 for step in costs.steps):
        columns[">download"] = lambda step: known(step.download, size) if step.download != 0 else ""
    columns[">to store"] = lambda step: known(step.stored, size)
    columns["from "] = lambda step: str(step.stored_from)
    return output.table(list(columns), [[text(step) for text in columns.values()] for step in costs.steps])
