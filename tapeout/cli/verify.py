"""``tapeout verify``: check artifacts and the store against manifests and digests, and repair them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from tapeout.cli import output
from tapeout.cli.options import AsJson, ConfigFiles, addresses, refuse
from tapeout.cli.project import Project, load
from tapeout.graph.address import RESULTS, resolve
from tapeout.graph.upkeep.environments import EnvironmentFinding, used_environments, verify_environments
from tapeout.graph.upkeep.repair import repair as restore_copies
from tapeout.graph.upkeep.verify import UNTRUSTED, Finding, artifact_addresses
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

    Compares every artifact with its manifest. Damaged files of the store are moved to store/quarantine. --deep also
    reads the installed environments that made the artifacts.

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
    folders = used_environments(workspace, names) if deep else []
    changed, read_there = _check_environments(folders, as_json)
    read += read_there
    left = _repair(workspace, findings, project, as_json) if repair and findings else findings
    value = {
        "deep": deep,
        "artifacts": len(names or existing),
        "bytes_read": read,
        "findings": [asdict(finding) for finding in findings],
        "environments": [asdict(finding) for finding in changed],
        "repaired": bool(findings) and not left and not changed,
    }
    checked = output.count(len(names or existing), "artifact")
    how = f"{output.format_size(read)} read" if deep else "names, sizes and times only; --deep reads every byte"
    installed = f", {output.count(len(folders), 'environment')}" if folders else ""
    parts: list[Any] = [f"No damage found: {checked}{'' if names else ' and the store'}{installed}, {how}."]
    if findings or changed:
        rows = [[finding.artifact or "(store)", finding.path, finding.problem] for finding in findings]
        rows += [[f"({finding.environment})", finding.path, finding.problem] for finding in changed]
        parts = [output.table(["artifact", "file", "problem"], rows)]
        parts += [_summary(findings, left, repair)] if findings else []
        parts += [_reinstall(changed)] if changed else []
    configuration = project().configuration if project.cache_info().currsize else None  # not every check reads one
    output.show(value, as_json, *parts, configuration=configuration)
    raise typer.Exit(1 if left or changed else 0)


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
    untrusted = {finding.artifact for finding in left if finding.problem == UNTRUSTED}
    reasons = {
        "no intact copy is left": {finding.artifact for finding in left} - untrusted,
        "no trusted key has signed them": untrusted,
    }
    because = (f"because {why}: {', '.join(sorted(names))}" for why, names in reasons.items() if names)
    return f"Not repaired, {'; '.join(because)}."


def _reinstall(changed: list[EnvironmentFinding]) -> str:
    """Return what the user can do about changed environments."""
    names = sorted({finding.environment for finding in changed})
    add = f"'{' '.join(names)}'" if len(names) > 1 else names[0]
    return (
        f"To install what differs in environments again: make environments ADD={add}; artifacts that were built since "
        "the change: tapeout rebuild --check ARTIFACT"
    )


def _check(workspace: Workspace, names: list[str], deep: bool, quiet: bool) -> tuple[list[Finding], int]:
    """Return the findings and the number of bytes read."""
    with _progress(quiet or not deep) as advance:
        findings = check(workspace, names, deep, advance)
        return findings, advance.done


def _check_environments(folders: list[Path], quiet: bool) -> tuple[list[EnvironmentFinding], int]:
    """Return the findings of environments and the number of bytes read."""
    with _progress(quiet or not folders) as advance:
        findings = verify_environments(folders, advance)
        return findings, advance.done


class _Advance:
    """Progress of reading: updates a task of a progress bar."""

    def __init__(self, bar: Progress) -> None:
        self.done, self.bar, self.task = 0, bar, bar.add_task("reading", total=None)

    def __call__(self, done: int, total: int) -> None:
        self.done = done
        self.bar.update(self.task, completed=done, total=total)


@contextmanager
def _progress(hidden: bool) -> Iterator[_Advance]:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.errors, transient=True, disable=hidden) as bar:
        yield _Advance(bar)


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
