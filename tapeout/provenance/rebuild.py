"""Running the graph of an export in a folder of its own, with none of the caller's settings and an empty store."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from tapeout.errors import TapeoutError
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tapeout.provenance.document import CODE, CONFIG, Document
from tapeout.provenance.folder import NotAnExport, OutputExists

STRIPPED = ("TAPEOUT_", "SNAKEMAKE_", "PYTHON")
KEPT = {"TAPEOUT_DOWNLOADS"}
FAILURE = re.compile(r"✗ (\S+)  (.+)")
LINES_SHOWN = 2
ALWAYS_SAID = ("Using ", "Config file ")
"""What Snakemake says of every run, at the beginning of a line."""


MADE_BY_RUNS = {"store", "results", "work", "runs", "logs", ".envs", ".snakemake"}
"""Folders in which an export has no say: what lay there would be taken for built, or installed."""


class IncompleteCode(TapeoutError):
    """The files that would be exported are not enough to run the graph again."""


class SourceRefused(TapeoutError):
    """A source could not be fetched, or is not what the export pins."""


class RebuildFailed(TapeoutError):
    """The graph of the export did not run to its end here."""


def workspace(folder: Path) -> Workspace:
    """The workspace of a project in another folder, with the store inside it."""
    return Workspace(Store(folder / "store"), folder / "results", folder / "work", folder / "runs")


def rehearse(code: Path, document: Document, store: Path) -> None:
    """Plan the graph from the exported files alone: it must consist of the exported actions, each known to the store.

    Raises:
        IncompleteCode: a file is missing, so that the graph cannot be read or some step is another one.
    """
    fix = "Name the files that are missing with --also."
    with tempfile.TemporaryDirectory(prefix="tapeout-rehearsal-") as scratch:
        folder = Path(scratch) / "project"
        shutil.copytree(code, folder)
        done = subprocess.run(
            _snakemake(document, "--dry-run"),
            cwd=folder,
            env=_variables() | {"TAPEOUT_STORE": str(store.absolute())},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if line and not line.startswith(ALWAYS_SAID)]
            said = "\n    | ".join(["", *lines[:LINES_SHOWN]]).replace(str(folder), ".")
            raise IncompleteCode(f"From the exported files alone the graph cannot be read:{said}", fix)
        for name, manifest in document.manifests.items():
            if workspace(folder).action(name).digest != manifest.action:
                raise IncompleteCode(f"From the exported files alone {name} is made by another action.", fix)


def lay_out(export: Path, document: Document, folder: Path, environments: Path | None) -> None:
    """Put the code of an export into an empty folder.

    Args:
        export: folder of the export, which was checked.
        document: its document.
        folder: where to; it may exist if it is empty.
        environments: installed environments to use (a project's ``.envs``); None means to install them anew.

    Raises:
        NotAnExport: what it calls code would lie where only runs write, and be taken for results.
        OutputExists: the folder is not empty.
        RebuildFailed: there is no folder of environments.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExists(f"{folder} is not an empty folder.", "Give another one with --folder.")
    if environments is not None and not environments.is_dir():
        raise RebuildFailed(f"There is no folder {environments}.", "Correct --environments, or leave it out.")
    for file in document.code:
        if PurePosixPath(file.path).parts[0] in MADE_BY_RUNS:
            raise NotAnExport(
                f"The export counts {file.path} as code, where only runs may write.", "Trust nothing in this export."
            )
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(export / CODE / file.path, target)
        target.chmod(0o755 if file.executable else 0o644)
    if environments is not None:
        (folder / ".envs").symlink_to(environments.absolute())


def install(document: Document, folder: Path, pip_options: str) -> None:
    """Install the locked environments that the graph uses; those that are installed stay as they are.

    Raises:
        RebuildFailed: pip ended with an error, which it has shown.
    """
    names = [locked.name for locked in document.environments]
    command = [sys.executable, "-m", "tapeout.graph.identity.environment", *names, "--pip", pip_options]
    if subprocess.run(command, cwd=folder, env=_variables(), check=False, stdout=sys.stderr).returncode:
        raise RebuildFailed(
            f"The environments {', '.join(names)} could not be installed.",
            "Read the message above; the CPU build of torch needs --pip '--extra-index-url ADDRESS' (README), or use "
            "installed ones: --environments FOLDER.",
        )


def run(document: Document, folder: Path) -> None:
    """Run Snakemake for the target, with an empty store; its words go to the terminal as they come.

    Raises:
        SourceRefused: the rule that fetches a source failed: its bytes are not the pinned ones, or it is out of reach.
        RebuildFailed: any other step failed.
    """
    failures: list[list[str]] = []
    process = subprocess.Popen(
        _snakemake(document),
        cwd=folder,
        env=_variables(),
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    for line in process.stderr or ():
        print(line, end="", file=sys.stderr, flush=True)
        if found := FAILURE.search(line):
            failures.append([found[1], found[2], ""])
        elif failures and not failures[-1][2] and line.startswith("  fix: "):
            failures[-1][2] = line.removeprefix("  fix: ").strip()
    if not process.wait():
        return
    artifact, cause, fix = failures[0] if failures else ("", f"Snakemake ended with {process.returncode}.", "")
    cause = cause.removeprefix("StepFailed: ")
    logs = f"Read the messages above; the logs are in {folder / 'logs'}."
    if artifact in {source.artifact for source in document.sources}:
        raise SourceRefused(f"{artifact}: {cause}", fix or logs)
    raise RebuildFailed(f"{artifact}: {cause}" if artifact else cause, logs)


def _snakemake(document: Document, *options: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", mark_of(document), *options, "--configfile", CONFIG]


def mark_of(document: Document) -> str:
    """What Snakemake is asked for to make the target."""
    return str(Workspace(Store(Path("store"))).sealed_path(document.target))


def _variables() -> dict[str, str]:
    """The caller's variables without those that would bring in another store, other code or other settings."""
    return {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(STRIPPED)}
