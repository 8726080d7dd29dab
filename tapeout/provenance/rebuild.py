"""Build an exported graph in isolation: in a separate folder, with an empty store and none of the caller's settings."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from tapeout.config.secrets import has_secret
from tapeout.config.sources import Fetch
from tapeout.graph.console import FIX, print_line
from tapeout.graph.identity.environment import FOLDER, find_installed
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tapeout.provenance.document import CODE as CODE_FOLDER
from tapeout.provenance.document import CONFIG, Document
from tapeout.provenance.errors import ExportRefused, InvalidExport, ReproductionFailed
from tapeout.provenance.isolation import CODE, TRUSTED, Isolation, downloads

REMOVED_PREFIXES = ("TAPEOUT_", "SNAKEMAKE_", "PYTHON")
FAILURE = re.compile(r"✗ (\S+)  (.+)")
LINES_SHOWN = 2
ROUTINE_LINES = ("Using ", "Config file ")
"""First words of lines that Snakemake prints in every run."""

OUTPUT_FOLDERS = {"store", "results", "work", "runs", "logs", ".envs", ".snakemake", ".downloads"}
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
        shutil.copyfile(export / CODE_FOLDER / file.path, target)
        target.chmod(0o755 if file.executable else 0o644)
    if environments is not None:
        (folder / ".envs").symlink_to(environments.absolute())


def fetch_sources(document: Document, folder: Path, environments: Path | None) -> None:
    """Download the sources with the code and the credentials of this project, so that the export's needs no network.

    ``environments`` is a folder of installed ones to look into first.

    Raises:
        ReproductionFailed: a source is out of reach, has other bytes than pinned, is pinned by a commit only, or is of
            a kind that the export brings; or the environment that fetches is not installed.
    """
    for source in document.sources:
        if "." in str(source.record.get("kind", "")):
            raise ReproductionFailed(
                f"{source.artifact} is fetched by code of the export.", "Allow it the network with --network."
            )
        record = Fetch.model_validate({"record": source.record}).record
        if not record.remote_files or record.local_path is not None:
            continue
        if any(file.sha256 is None for file in record.remote_files):
            raise ReproductionFailed(
                f"{source.artifact} has files without SHA-256: its step has to ask the hub for them.",
                "Allow the export the network with --network.",
            )
        command = [str(_fetching_python(environments)), "-P", "-m", "tapeout.sources.prefetch", str(downloads(folder))]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            command,
            cwd=CODE,
            env=variables | {"PYTHONPATH": str(CODE)},
            input=json.dumps(source.record),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            cause, fix = (["", "", *done.stderr.splitlines()])[-2:]
            raise ReproductionFailed(f"{source.artifact}: {cause}", fix.removeprefix(FIX))


def _fetching_python(environments: Path | None) -> Path:
    for parent in (environments, CODE / FOLDER):
        if parent is not None and (folder := _installed("data", CODE, parent)) is not None:
            return folder.absolute() / "bin/python"
    raise ReproductionFailed(
        "The environment data of this project, which fetches the sources, is not installed.",
        "Run: make environments ADD=data. Or let the export fetch them itself, with --network.",
    )


def _installed(name: str, project: Path, parent: Path) -> Path | None:
    """Return the folder in ``parent`` of a complete environment of a project's lock, with any interpreter; or None."""
    found = find_installed(name, project, parent)
    return parent / found.folder.name if found.is_complete_in(parent) else None


def install(document: Document, isolation: Isolation, pip_options: str) -> None:
    """Install the locked environments of the graph, or check that the given folder has them.

    Their packages may run code while they are built: this too is isolated, except that it has the network.

    Raises:
        ReproductionFailed: pip failed, and has printed why; or the folder lacks one.
    """
    names = [locked.name for locked in document.environments]
    if (installed := isolation.environments) is not None:
        for name in names:
            if _installed(name, isolation.folder, installed) is None:
                raise ReproductionFailed(
                    f"The environment {name} of the export is not installed in {installed}.",
                    "Leave --environments out, so that it is installed.",
                )
        return
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and not has_secret(value)}
    command = [sys.executable, "-P", "-m", "tapeout.graph.identity.environment", *names, "--pip", pip_options]
    with isolation.started(command, network=True, variables=pip | {"PYTHONPATH": TRUSTED}) as process:
        for line in process.stdout or ():
            print_line(line.rstrip("\n"))
    if process.returncode:
        raise ReproductionFailed(
            f"The environments {', '.join(names)} could not be installed.",
            "Read the message above. The CPU build of torch needs --pip '--extra-index-url URL' (docs/environments.md)."
            " Installed environments are used with --environments FOLDER.",
        )


def run(document: Document, isolation: Isolation) -> None:
    """Run Snakemake for the target with an empty store, and pass its messages to the terminal.

    Raises:
        ReproductionFailed: a step failed; that of a source if it is out of reach or has other bytes than pinned.
    """
    failures: list[list[str]] = []
    with isolation.started(_snakemake(document)) as process:
        for line in process.stdout or ():
            print_line(line.rstrip("\n"))
            if match := FAILURE.search(line):
                failures.append([match[1], match[2], ""])
            elif failures and not failures[-1][2] and line.startswith(FIX):
                failures[-1][2] = line.removeprefix(FIX).strip()
    if not process.returncode:
        return
    artifact, cause, fix = failures[0] if failures else ("", f"Snakemake exited with {process.returncode}.", "")
    cause = cause.removeprefix("StepFailed: ")
    logs = f"Read the messages above; the logs are in {isolation.folder / 'logs'}."
    is_source = artifact in {source.artifact for source in document.sources}
    raise ReproductionFailed(f"{artifact}: {cause}" if artifact else cause, fix if is_source and fix else logs)


def _snakemake(document: Document, *options: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", snakemake_target(document), *options, "--configfile", CONFIG]


def snakemake_target(document: Document) -> str:
    """Return the file to ask Snakemake for to build the target."""
    return str(Workspace(Store(Path("store"))).sealed_path(document.target))


def _variables() -> dict[str, str]:
    """Return the caller's environment variables without those that change store, code or settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(REMOVED_PREFIXES)}
