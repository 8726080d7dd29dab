"""Build an exported graph in isolation: in a separate folder, with an empty store and none of the caller's settings."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tapeout.provenance.document import CODE, CONFIG, Document
from tapeout.provenance.errors import ExportRefused, InvalidExport, ReproductionFailed

REMOVED_PREFIXES = ("TAPEOUT_", "SNAKEMAKE_", "PYTHON")
KEPT_VARIABLES = {"TAPEOUT_DOWNLOADS"}
FAILURE = re.compile(r"✗ (\S+)  (.+)")
LINES_SHOWN = 2
ROUTINE_LINES = ("Using ", "Config file ")
"""First words of lines that Snakemake prints in every run."""

OUTPUT_FOLDERS = {"store", "results", "work", "runs", "logs", ".envs", ".snakemake"}
"""Folders that only runs write; files of an export in them would count as built or installed."""


def workspace(folder: Path) -> Workspace:
    """Return the workspace of a project in another folder, with the store inside it."""
    return Workspace(Store(folder / "store"), folder / "results", folder / "work", folder / "runs")


def rehearse(code: Path, document: Document, store: Path) -> None:
    """Check that the exported files alone give the exported actions, by a dry run on them.

    Raises:
        ExportRefused: a file is missing, so that the graph cannot be read or an action differs.
    """
    fix = "Name the missing files with --also."
    with tempfile.TemporaryDirectory(prefix="tapeout-rehearsal-") as scratch:
        folder = Path(scratch) / "project"
        shutil.copytree(code, folder)
        done = subprocess.run(
            _snakemake(document, "--dry-run"),
            cwd=folder,
            env=_variables() | {"TAPEOUT_STORE": str(store.absolute())},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if line and not line.startswith(ROUTINE_LINES)]
            message = "\n    | ".join(["", *lines[:LINES_SHOWN]]).replace(str(folder), ".")
            raise ExportRefused(f"The exported files alone are not a readable workflow:{message}", fix)
        for name, manifest in document.manifests.items():
            if workspace(folder).action(name).digest != manifest.action:
                raise ExportRefused(f"With the exported files alone, {name} has another action.", fix)


def lay_out(export: Path, document: Document, folder: Path, environments: Path | None) -> None:
    """Copy the code of an export into an empty folder.

    ``environments`` is a folder of installed ones to use; None installs them.

    Raises:
        InvalidExport: a file of its code is in a folder that only runs may write.
        ReproductionFailed: the folder is not empty, or there is no folder of environments.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ReproductionFailed(f"{folder} is not an empty folder.", "Give another one with --folder.")
    if environments is not None and not environments.is_dir():
        raise ReproductionFailed(f"There is no folder {environments}.", "Correct --environments, or leave it out.")
    for file in document.code:
        if PurePosixPath(file.path).parts[0] in OUTPUT_FOLDERS:
            raise InvalidExport(
                f"The export has the code file {file.path}, in a folder that only runs may write.",
                "Do not trust the export.",
            )
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(export / CODE / file.path, target)
        target.chmod(0o755 if file.executable else 0o644)
    if environments is not None:
        (folder / ".envs").symlink_to(environments.absolute())


def install(document: Document, folder: Path, pip_options: str) -> None:
    """Install the locked environments of the graph, unless they are installed.

    Raises:
        ReproductionFailed: pip failed, and has printed why.
    """
    names = [locked.name for locked in document.environments]
    command = [sys.executable, "-m", "tapeout.graph.identity.environment", *names, "--pip", pip_options]
    if subprocess.run(command, cwd=folder, env=_variables(), check=False, stdout=sys.stderr).returncode:
        raise ReproductionFailed(
            f"The environments {', '.join(names)} could not be installed.",
            "Read the message above. The CPU build of torch needs --pip '--extra-index-url URL' (docs/environments.md)."
            " Installed environments are used with --environments FOLDER.",
        )


def run(document: Document, folder: Path) -> None:
    """Run Snakemake for the target with an empty store, and pass its messages to the terminal.

    Raises:
        ReproductionFailed: a step failed; that of a source if it is out of reach or has other bytes than pinned.
    """
    failures: list[list[str]] = []
    process = subprocess.Popen(
        _snakemake(document),
        cwd=folder,
        env=_variables(),
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    for line in process.stderr or ():
        print(line, end="", file=sys.stderr, flush=True)
        if match := FAILURE.search(line):
            failures.append([match[1], match[2], ""])
        elif failures and not failures[-1][2] and line.startswith("  fix: "):
            failures[-1][2] = line.removeprefix("  fix: ").strip()
    if not process.wait():
        return
    artifact, cause, fix = failures[0] if failures else ("", f"Snakemake exited with {process.returncode}.", "")
    cause = cause.removeprefix("StepFailed: ")
    logs = f"Read the messages above; the logs are in {folder / 'logs'}."
    is_source = artifact in {source.artifact for source in document.sources}
    raise ReproductionFailed(f"{artifact}: {cause}" if artifact else cause, fix if is_source and fix else logs)


def _snakemake(document: Document, *options: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", snakemake_target(document), *options, "--configfile", CONFIG]


def snakemake_target(document: Document) -> str:
    """Return the file to ask Snakemake for to build the target."""
    return str(Workspace(Store(Path("store"))).sealed_path(document.target))


def _variables() -> dict[str, str]:
    """Return the caller's environment variables without those that change store, code or settings."""
    variables = os.environ.items()
    return {name: value for name, value in variables if name in KEPT_VARIABLES or not name.startswith(REMOVED_PREFIXES)}
