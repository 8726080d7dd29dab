"""``tapeout verify``: is everything what its manifest says? ``--deep`` reads every byte, ``--repair`` mends."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from tapeout.cli import output
from tapeout.cli.project import load
from tapeout.graph.upkeep.repair import repair as restore_copies
from tapeout.graph.upkeep.verify import Finding, artifact_copies, verify
from tapeout.graph.workspace import Workspace


def run(addresses: list[str], deep: bool, repair: bool, configs: list[Path], as_json: bool) -> int:
    """Show what is wrong; returns 0 if nothing is, or if it was mended, else 1.

    Raises:
        NoProject: an address names nothing that is there, and no rule makes it.
    """
    workspace = Workspace.here()
    there = [one.address for one in artifact_copies(workspace)]
    for address in addresses:
        if address not in there:
            load(configs).decision(address)
    found, read = _look(workspace, addresses, deep, as_json)
    left = _repair(workspace, found, configs, as_json) if repair and found else found
    value = {
        "deep": deep,
        "artifacts": len(addresses or there),
        "bytes_read": read,
        "findings": [asdict(finding) for finding in found],
        "repaired": bool(found) and not left,
    }
    checked = output.count(len(addresses or there), "artifact")
    how = f"{output.size(read)} were read" if deep else "names, sizes and times only; --deep reads every byte"
    parts: list[Any] = [f"All is well: {checked}{'' if addresses else ' and the store'}, {how}."]
    if found:
        rows = [[finding.artifact or "(store)", finding.path, finding.problem] for finding in found]
        last = _verdict(found, left, repair)
        parts = [output.table(["artifact", "file", "problem"], rows), last]
    output.show(value, as_json, *parts)
    return 0 if not left else 1


def _verdict(found: list[Finding], left: list[Finding], repair: bool) -> str:
    """What became of the findings, or can be done about them."""
    if not any(finding.artifact for finding in found):
        return "Nothing uses them; they were put aside in the store's quarantine."
    if not repair:
        return "To mend: tapeout verify --deep --repair"
    if not left:
        return "Mended."
    names = ", ".join(sorted({finding.artifact for finding in left}))
    return f"Not mended, because no right copy is left: {names}."


def _look(workspace: Workspace, addresses: list[str], deep: bool, quiet: bool) -> tuple[list[Finding], int]:
    """What is wrong, and how many bytes were read, with a bar that shows them."""
    read = 0
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.errors, transient=True, disable=quiet or not deep) as bar:
        task = bar.add_task("reading", total=None)

        def told(done: int, total: int) -> None:
            nonlocal read
            read = done
            bar.update(task, completed=done, total=total)

        return verify(workspace, addresses, deep, told), read


def _repair(workspace: Workspace, found: list[Finding], configs: list[Path], quiet: bool) -> list[Finding]:
    """Bring back what has a right copy somewhere, let a run build the rest again, and say what is still wrong."""
    names = sorted({finding.artifact for finding in found if finding.artifact})
    if not names:
        return []  # damaged files that nothing uses: they were put aside
    restore_copies(workspace, names)
    left, _ = _look(workspace, names, True, quiet)
    if broken := {finding.artifact for finding in left if "@" not in finding.artifact}:
        recipes = load(configs).recipes
        if rules := sorted({recipes[name].rule for name in broken if name in recipes}):
            options = ["--configfile", *map(str, configs)] if configs else []
            subprocess.run([sys.executable, "-m", "snakemake", *rules, *options], check=False, stdout=sys.stderr)
        restore_copies(workspace, names)
        left, _ = _look(workspace, names, True, quiet)
    return left
