"""``tapeout verify``: is everything what its manifest says? ``--deep`` reads every byte, ``--repair`` mends."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.verify import Finding, verify


def run(project: Project, artifacts: list[str], deep: bool, repair: bool, configs: list[Path], as_json: bool) -> int:
    """Show what is wrong; returns 0 if nothing is, or if it was mended, else 1."""
    for name in artifacts:
        project.decision(name)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=output.errors, transient=True, disable=as_json) as bar:
        task = bar.add_task("reading", total=None)
        found = verify(
            project.workspace, artifacts, deep, lambda done, total: bar.update(task, completed=done, total=total)
        )
    mended = _repair(project, found, configs) if repair and found else False
    value = {"deep": deep, "findings": [asdict(finding) for finding in found], "repaired": mended}
    rows = [[finding.artifact or "(store)", finding.path, finding.problem] for finding in found]
    parts: list[Any] = [f"All is well{'' if deep else ' as far as sizes and times tell; --deep reads every byte'}."]
    if found:
        last = "Mended." if mended else "To mend: tapeout verify --deep --repair"
        parts = [output.table(["artifact", "file", "problem"], rows), last]
    output.show(value, as_json, *parts)
    return 0 if not found or mended else 1


def _repair(project: Project, found: list[Finding], configs: list[Path]) -> bool:
    """Let a run restore what the store still has whole and rebuild the rest, then look again."""
    names = sorted({finding.artifact for finding in found if finding.artifact})
    rules = sorted({project.recipes[name].rule for name in names if name in project.recipes})
    if rules:
        command = [sys.executable, "-m", "snakemake", *rules]
        options = ["--configfile", *map(str, configs)] if configs else []
        if subprocess.run([*command, *options], check=False, stdout=sys.stderr).returncode:
            return False
    return not verify(project.workspace, names, deep=True)
