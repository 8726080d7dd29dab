"""``tapeout rebuild``: build a step again, in an empty folder and offline, and say how much of it is the same."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.compare.levels import Comparison, Level, compare
from tapeout.config.comparison import Bounds
from tapeout.graph.launch.process import can_isolate_network
from tapeout.graph.plan.describe import duration
from tapeout.graph.upkeep.rebuild import Rebuild, keep_copy, rebuild

RANK = [Level.BYTES, Level.VALUES, Level.METRICS, Level.NONE]
SAYS = {
    Level.BYTES: "the same bytes",
    Level.VALUES: "equal values, other bytes",
    Level.METRICS: "within the stated bounds",
    Level.NONE: "DIFFERENT",
}


def run(
    project: Project,
    artifacts: list[str],
    required: Level | None,
    bounds: Bounds,
    keeps: bool,
    online: bool,
    as_json: bool,
) -> int:
    """Build artifacts again, one after another; all of them if none is named.

    Args:
        project: rules and results.
        artifacts: names.
        required: the level that each must reach; None compares nothing and keeps the second copies.
        bounds: of the level «metrics».
        keeps: keep every second copy; one that differs is kept in any case.
        online: do not keep the programs from the network.
        as_json: print JSON.

    Returns:
        0 if all reach the level, 1 if one does not.
    """
    decisions = [project.decision(name) for name in artifacts or project.decisions]
    offline = not online and can_isolate_network()
    if not offline and not online:
        output.errors.print("! This system cannot cut a program off the network; the steps run as they are.")
    found: list[dict[str, Any]] = []
    for number, decision in enumerate(decisions, 1):
        name = decision.recipe.artifact
        output.errors.print(f"+ {name}  built again ({number} of {len(decisions)})")
        recipe, launch = decision.recipe, project.layer.launch
        with rebuild(project.workspace, recipe, decision.action, recipe.threads, offline, launch) as copies:
            found.append(_row(project, copies, bounds if required is not None else None, keeps))
    missed = [row for row in found if required is not None and RANK.index(row["level"]) > RANK.index(required)]
    rows = [[row["artifact"], duration(row["seconds"]), row["second_digest"][:12], _said(row)] for row in found]
    parts: list[Any] = [output.table(["artifact", ">took", "digest", "second copy"], rows)]
    if required is not None:
        parts.append(f"{len(found) - len(missed)} of {len(found)} reach the level «{required}».")
    parts += [f"tapeout diff {row['artifact']} ./{row['second_copy']}" for row in missed]
    output.show({"offline": offline, "required": required, "artifacts": found}, as_json, *parts)
    return 1 if missed else 0


def _row(project: Project, copies: Rebuild, bounds: Bounds | None, keeps: bool) -> dict[str, Any]:
    compared = _compared(project, copies, bounds) if bounds is not None else None
    differs = compared is None or compared.level is not Level.BYTES
    kept = keep_copy(project.workspace, copies.new) if keeps or differs else None
    return {
        "artifact": copies.old.manifest.artifact,
        "seconds": round(copies.seconds, 2),
        "level": compared.level if compared is not None else None,
        "digest": copies.old.manifest.digest(),
        "second_digest": copies.new.manifest.digest(),
        "differing_files": [asdict(file) for file in compared.files] if compared is not None else None,
        "second_copy": str(kept) if kept is not None else None,
    }


def _compared(project: Project, copies: Rebuild, bounds: Bounds) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="compare.", dir=project.workspace.work) as scratch:
        return compare(copies.old, copies.new, bounds, Path(scratch))


def _said(row: dict[str, Any]) -> str:
    said = SAYS[row["level"]] if row["level"] is not None else "not compared"
    return f"{said}; {row['second_copy']}" if row["second_copy"] else said
