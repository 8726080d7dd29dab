"""``tapeout status``: every artifact: current, restorable, stale, damaged or missing; its size, digest, when, where."""

import os
from collections import Counter
from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.describe import duration
from tapeout.graph.workspace import State, Workspace

WIDE = 100
"""Columns of a terminal in which there is room to say where an artifact was built."""


def status(project: Project, as_json: bool) -> int:
    """Show one row for each artifact; returns 0."""
    built = {(line["artifact"], line["action"]): line for line in project.workspace.store.journal()}
    found: list[dict[str, Any]] = []
    for name, decision in project.decisions.items():
        manifest = project.workspace.manifest(name)
        line = built.get((name, manifest.action)) if manifest is not None else None
        found.append(
            {
                "artifact": name,
                "state": _state(project.workspace, decision, manifest),
                "waits_for": list(decision.waits_for),
                "size": manifest.size if manifest is not None else None,
                "digest": manifest.digest() if manifest is not None else None,
                "action": manifest.action if manifest is not None else None,
                "finished": line["finished"] if line else None,
                "seconds": line["seconds"] if line else None,
                "machine": f"{line['machine']}, {line['cores']} cores" if line and "machine" in line else None,
            }
        )
    wide = output.console.width >= WIDE
    rows = [
        [
            str(row["artifact"]),
            str(row["state"]),
            output.size(row["size"]) if row["size"] is not None else "",
            str(row["digest"] or "")[:10],
            duration(row["seconds"]) if row["seconds"] is not None else "",
            str(row["finished"] or "")[5:16].replace("T", " "),
            *([str(row["machine"] or "")] if wide else []),
        ]
        for row in found
    ]
    columns = ["artifact", "state", ">size", "digest", ">took", "built (UTC)", *(["on"] if wide else [])]
    output.show(found, as_json, output.table(columns, rows), "", _totals(found))
    return 0


def _state(workspace: Workspace, decision: Decision, manifest: Manifest | None) -> str:
    """One word for what lies in ``results/`` and what a run would do about it."""
    name = decision.recipe.artifact
    there = os.path.lexists(workspace.artifact_path(name))
    if decision.state is State.CURRENT:
        return "current"
    if there and (manifest is None or not manifest.matches(workspace.artifact_path(name))):
        return "damaged"
    if decision.state is State.RESTORE:
        return "in the remote" if decision.download is not None else "in the store"
    return "stale" if there else "missing"


def _totals(found: list[dict[str, Any]]) -> str:
    states = Counter(row["state"] for row in found)
    counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    size, seconds = (sum(row[name] or 0 for row in found) for name in ("size", "seconds"))
    return f"{output.count(len(found), 'artifact')}: {counted}; {output.size(size)}, {duration(seconds)} of building."
