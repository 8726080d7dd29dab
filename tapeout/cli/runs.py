"""``tapeout run-name`` and ``tapeout runs``: results kept under a human name."""

from dataclasses import asdict
from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.named_runs import pin, remove, save, summarize
from tapeout.graph.workspace import State, Workspace

SHOWN = 3
"""Artifacts named in a sentence."""


def run_name(project: Project, name: str, pinned: bool, as_json: bool) -> int:
    """Keep the results under a name; returns 0, or 1 if they are not all that code and configuration ask for.

    Results may be stale or incomplete and still be worth a name, but whoever names them is told.
    """
    run = save(project.workspace, name, pinned)
    missing = sorted(project.decisions.keys() - run.artifacts.keys())
    stale = sorted(
        artifact
        for artifact, found in project.decisions.items()
        if artifact in run.artifacts and found.state is not State.CURRENT
    )
    value = {**asdict(run), "stale": stale, "missing": missing}
    kept = "Pinned: " if run.pinned else ""
    count = output.count(len(run.artifacts), "artifact")
    parts = [f"{kept}{project.workspace.runs / name} keeps {count}; reach them as ARTIFACT@{name}."]
    if stale:
        parts.append(f"Not what code and configuration ask for by now: {_some(stale)}.")
    if missing:
        parts.append(f"Not there: {_some(missing)}.")
    output.show(value, as_json, *parts)
    return 1 if stale or missing else 0


def runs(workspace: Workspace, pins: list[str], unpins: list[str], removals: list[str], as_json: bool) -> int:
    """Pin, let go of and remove runs, then show those that there are; returns 0."""
    for name in pins:
        pin(workspace, name, True)
    for name in unpins:
        pin(workspace, name, False)
    for name in removals:
        remove(workspace, name)
    found = summarize(workspace)
    value = [
        {
            **asdict(summary.run),
            "size": summary.size,
            "own_size": summary.own_size,
            "ends": summary.ends,
            "differing": list(summary.differing),
        }
        for summary in found
    ]
    rows = [
        [
            summary.run.name,
            "yes" if summary.run.pinned else "",
            str(len(summary.run.artifacts)),
            output.size(summary.size),
            output.size(summary.own_size),
            " ".join(digest[:10] for digest in summary.ends.values()),
            f"{len(summary.differing)} differ" if summary.differing else "same",
            summary.run.named[5:16].replace("T", " "),
        ]
        for summary in found
    ]
    columns = ["run", "pinned", ">artifacts", ">size", ">own", "report", "results", "named (UTC)"]
    parts: list[Any] = [output.table(columns, rows)] if rows else ["No run has a name yet: tapeout run-name NAME"]
    output.show(value, as_json, *parts)
    return 0


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
