"""``tapeout gc``: free what no results and no named run want any more."""

import re
import time
from dataclasses import asdict
from typing import Any

import typer

from tapeout.cli import output
from tapeout.graph.upkeep.gc import NAMED_RUNS, GcOptions, GcReport, collect
from tapeout.graph.workspace import Workspace

UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""Seconds."""


def age(text: str) -> float:
    """Seconds of a length of time such as ``30d``.

    Raises:
        typer.BadParameter: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age; say 30d, 12h, 90m or 2w.")
    return float(found[1]) * UNITS[found[2]]


def gc(workspace: Workspace, wishes: GcOptions, dry: bool, as_json: bool) -> int:
    """Show what was freed; returns 0, or 1 if this was a dry run and there is something to free."""
    found = collect(workspace, wishes, dry, time.time())
    unseen = [root for root in found.roots if not root.visible]
    value = {
        "dry_run": dry,
        "freed": [asdict(removal) for removal in found.removed],
        "size": found.size,
        "kept": {"artifacts": found.kept, "size": found.kept_size},
        "roots": [{"folder": str(root.folder), "host": root.host, "visible": root.visible} for root in found.roots],
    }
    parts: list[Any] = [_table(found)] if found.removed else []
    kept = f"{output.count(found.kept, 'artifact')} of {output.count(len(found.roots), 'folder')}"
    kept += f", {output.size(found.kept_size)}"
    if not found.removed:
        parts.append(f"Nothing to free. The store keeps {kept}.")
    elif dry:
        parts.append(f"Nothing was removed: this is a dry run. The store would keep {kept}.")
    else:
        parts.append(f"Freed {output.size(found.size)}. The store keeps {kept}.")
    parts += [
        f"Not to be seen: {root.folder} (host {root.host}); all that it had is kept. "
        f"If it is gone for good: tapeout gc --forget {root.folder}"
        for root in unseen
    ]
    output.show(value, as_json, *parts)
    return 1 if dry and found.removed else 0


def _table(found: GcReport) -> Any:
    rows = []
    for removal in found.removed:
        which = ", ".join(removal.names) if removal.kind == NAMED_RUNS else ""
        rows.append([removal.kind, str(len(removal.names)), output.size(removal.size), which])
    rows.append(["together", "", output.size(found.size), ""])
    return output.table(["what", ">number", ">frees", "which"], rows)
