"""``tapeout verify``: check artifacts and the store against manifests and digests, and repair them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from tapeout.cli import output
from tapeout.cli.options import AsJson, ConfigFiles, addresses, refuse
from tapeout.cli.project import Project, load
from tapeout.graph.address import RESULTS, resolve
from tapeout.graph.upkeep.repair import repair as restore_copies
from tapeout.graph.upkeep.verify import Finding, artifact_addresses
from tapeout.graph.upkeep.verify import verify as check
from tapeout.graph.workspace import Workspace


def verify(
    context: typer.Context,
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARTIFACT",
            help="ARTIFACT, ARTIFACT@RUN, @RUN or a rule; default: everything, and the store.",
            autocompletion=addresses,
        ),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte, not only names, sizes and times.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Restore or rebuild damaged artifacts.")] = False,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Check results, named runs and the store.

    Compares every artifact with its manifest. Damaged files of the store are moved to store/quarantine.

    Exit code 0 if there is no damage or all of it was repaired, else 1.
    """
    if not artifacts and not repair:
        refuse(context, ["configfile"], "without ARTIFACT or --repair", "Leave it out: nothing is read from it.")
    workspace = Workspace.here()
    existing = artifact_addresses(workspace)
    project = cache(lambda: load(configfile))
    named = (name for given in artifacts or [] for name in _addresses(workspace, given, existing, project))
    names = list(dict.fromkeys(named))
    findings, read = _check(workspace, names, deep, as_json)
    left = _repair(workspace, findings, project, as_json) if repair and findings else findings
    value = {
        "deep": deep,
        "artifacts": len(names or existing),
        "bytes_read": read,
        "findings": [asdict(finding) for finding in findings],
        "repaired": bool(findings) and not left,
    }
    checked = output.count(len(names or existing), "artifact")
    how = f"{output.format_size(read)} read" if deep else "names, sizes and times only; --deep reads every byte"
    parts: list[Any] = [f"No damage found: {checked}{'' if names else ' and the store'}, {how}."]
    if findings:
        rows = [[finding.artifact or "(store)", finding.path, finding.problem] for finding in findings]
        parts = [output.table(["artifact", "file", "problem"], rows), _summary(findings, left, repair)]
    configuration = project().configuration if project.cache_info().currsize else None  # not every check reads one
    output.show(value, as_json, *parts, configuration=configuration)
    raise typer.Exit(1 if left else 0)


def _addresses(workspace: Workspace, given: str, existing: list[str], project: Callable[[], Project]) -> list[str]:
    """Return the addresses that a name refers to: an artifact, an artifact in a run, a run, or a rule."""
    if given in existing:
        return [given]
    if given == RESULTS or "@" in given:
        address = resolve(workspace, given)
        return [f"{name}@{address.run}" if address.run else name for name in address.artifacts]
    return list(project().resolve(given).artifacts)


def _summary(findings: list[Finding], left: list[Finding], repair: bool) -> str:
    if not any(finding.artifact for finding in findings):
        return "No artifact uses the damaged files; they were moved to the store's quarantine."
    if not repair:
        return "To repair: tapeout verify --deep --repair"
    if not left:
        return "Repaired."
    names = ", ".join(sorted({finding.artifact for finding in left}))
    return f"Not repaired, because no intact copy is left: {names}."


def _check(workspace: Workspace, names: list[str], deep: bool, quiet: bool) -> tuple[list[Finding], int]:
    """Return the findings and the number of bytes read; show a progress bar."""
    read = 0
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.errors, transient=True, disable=quiet or not deep) as bar:
        task = bar.add_task("reading", total=None)

        def advance(done: int, total: int) -> None:
            nonlocal read
            read = done
            bar.update(task, completed=done, total=total)

        return check(workspace, names, deep, advance), read


def _repair(
    workspace: Workspace, findings: list[Finding], project: Callable[[], Project], quiet: bool
) -> list[Finding]:
    """Restore artifacts that have an intact copy, rebuild the others, and return what is still damaged."""
    names = sorted({finding.artifact for finding in findings if finding.artifact})
    if not names:
        return []  # only files that no artifact uses, and they are in quarantine
    restore_copies(workspace, names)
    left, _ = _check(workspace, names, True, quiet)
    if broken := {finding.artifact for finding in left if "@" not in finding.artifact}:
        if rebuilt := sorted(broken & project().recipes.keys()):
            options = project().configuration.arguments
            subprocess.run([sys.executable, "-m", "snakemake", *rebuilt, *options], check=False, stdout=sys.stderr)
        restore_copies(workspace, names)
        left, _ = _check(workspace, names, True, quiet)
    return left
