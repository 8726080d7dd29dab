"""``tapeout gc``: delete unreferenced artifacts from the store."""

import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tapeout.cli import output
from tapeout.cli.options import AsJson, caller_path
from tapeout.graph.upkeep.gc import NAMED_RUNS, GcOptions, GcReport, collect
from tapeout.graph.workspace import Workspace

UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""Seconds."""


def age(text: str) -> float:
    """Return the seconds of an age such as ``30d``.

    Raises:
        typer.BadParameter: the text is not an age.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if parts is None:
        raise typer.BadParameter(f"{text!r} is not an age such as 30d, 12h, 90m or 2w.")
    return float(parts[1]) * UNITS[parts[2]]


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only list what would be deleted.")] = False,
    keep_runs: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Remove named runs except protected ones and the newest N."),
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(parser=age, metavar="AGE", help="Keep what is newer than 30d, 12h, 90m or 2w.")
    ] = None,
    forget: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", parser=caller_path, help="Drop the references of a deleted folder; repeatable."),
    ] = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Also delete quarantined files.")] = False,
    environments: Annotated[
        bool, typer.Option("--environments", help="Also delete environments that no lock file describes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete unreferenced artifacts.

    Referenced are the results and named runs of every folder that uses the store, and what running builds use; builds
    may continue meanwhile. Scratch folders of this folder that no build will resume from are deleted too.

    Exit code 0, or 1 if a dry run found something to delete.
    """
    options = GcOptions(keep_runs, older_than or 0.0, tuple(forget or ()), quarantine, environments)
    report = collect(Workspace.here(), options, dry_run, time.time())
    value = {
        "dry_run": dry_run,
        "removed": [asdict(removal) for removal in report.removed],
        "size": report.size,
        "kept": {"artifacts": report.kept, "size": report.kept_size},
        "roots": [{"folder": str(root.folder), "host": root.host, "visible": root.visible} for root in report.roots],
    }
    parts: list[Any] = [_table(report)] if report.removed else []
    kept = f"{output.count(report.kept, 'artifact')} of {output.count(len(report.roots), 'folder')}"
    kept += f", {output.format_size(report.kept_size)}"
    if not report.removed:
        parts.append(f"Nothing to delete. The store keeps {kept}.")
    elif dry_run:
        parts.append(f"Dry run: nothing was deleted. The store would keep {kept}.")
    else:
        parts.append(f"Deleted {output.format_size(report.size)}. The store keeps {kept}.")
    parts += [
        f"Not visible from here: {root.folder} (host {root.host}). Everything it refers to is kept. "
        f"If the folder no longer exists: tapeout gc --forget {root.folder}"
        for root in report.roots
        if not root.visible
    ]
    output.show(value, as_json, *parts)
    raise typer.Exit(1 if dry_run and report.removed else 0)


def _table(report: GcReport) -> Table:
    rows = []
    for removal in report.removed:
        names = ", ".join(removal.names) if removal.kind == NAMED_RUNS else ""
        rows.append([removal.kind, str(len(removal.names)), output.format_size(removal.size), names])
    rows.append(["total", "", output.format_size(report.size), ""])
    return output.table(["kind", ">number", ">size", "names"], rows)
