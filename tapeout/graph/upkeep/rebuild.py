"""Build a step a second time in an empty folder, without a network, to test whether it is reproducible.

Nothing in ``results/`` is read or changed: the inputs come from the store, every byte of them verified, and the second
copy stays in a separate folder.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tapeout.graph.address import LocatedArtifact
from tapeout.graph.deletion import delete
from tapeout.graph.errors import RequestRefused
from tapeout.graph.files import unused_path, write_atomically
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.environment import Environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.run.build import execute
from tapeout.graph.run.step import Step
from tapeout.graph.workspace import State, Workspace

REPAIR = "Run: tapeout verify --deep --repair"


@dataclass(frozen=True)
class Rebuild:
    """The artifact as the store has it, the second copy, and the program's duration in seconds."""

    old: LocatedArtifact
    new: LocatedArtifact
    seconds: float


@contextmanager
def rebuild(
    workspace: Workspace, recipe: Recipe, action: Action | None, threads: int, offline: bool, launch: Launch
) -> Iterator[Rebuild]:
    """Build an artifact a second time; the copy is deleted at the end of the context, unless it was moved away.

    Raises:
        RequestRefused: other code, parameters, packages or inputs made the artifact, or the store lacks an input.
        EnvironmentChanged: the step's environment is not as it was installed.
        StepFailed, InputChanged: see ``run.build.execute``.
    """
    name = recipe.artifact
    if action is None:  # perhaps for want of an intact input, which is the better message
        for needed in recipe.dependencies():
            _stored_input(workspace, needed)
    manifest = workspace.manifest(name)
    if action is None or manifest is None or manifest.action != action.digest:
        raise RequestRefused(
            f"{name} in results/ was not built by the current code, parameters and inputs.",
            f"Run snakemake first, or check out the commit that made it; tapeout why {name} shows what changed.",
        )
    first = workspace.store.find(action.digest)
    if first is None or not workspace.store.verify_objects(first):
        raise RequestRefused(f"The store lacks {name}, or a part of it.", REPAIR)
    workspace.work.mkdir(parents=True, exist_ok=True)
    # locked to the end: the garbage collector does not touch the scratch folder of a locked action
    lock = workspace.store.lock_action(action.digest)
    with lock, _scratch(workspace.work) as folder:
        empty = replace(workspace, results=Path(folder, "results"), work=Path(folder, "work"))
        for needed in recipe.dependencies():
            _restore_input(workspace, empty, needed)
        empty.mark(name, State.BUILD, action)
        step = Step(empty, recipe, action, threads, Path("logs", "rebuild", f"{name}.log"), offline, launch)
        if isinstance(step.packages, Environment):
            step.packages.check_files()
        second, seconds = execute(step)
        old = LocatedArtifact(name, first, None, workspace.store)
        new = LocatedArtifact(f"{name} (second copy)", second, step.output, workspace.store)
        yield Rebuild(old, new, seconds)


@contextmanager
def _scratch(work: Path) -> Iterator[Path]:
    """Make a folder for a rebuild, which is deleted at the end of the context."""
    folder = Path(tempfile.mkdtemp("", "rebuild.", work))
    try:
        yield folder
    finally:
        delete(folder)


def _stored_input(workspace: Workspace, needed: str) -> Manifest:
    """Return the manifest of an input whose bytes in the store are intact.

    Raises:
        RequestRefused: the store lacks it.
    """
    current = workspace.manifest(needed)
    manifest = workspace.store.find(current.action) if current is not None else None
    if manifest is None or not workspace.store.verify_objects(manifest):
        raise RequestRefused(f"The store lacks the input {needed}, or a part of it.", REPAIR)
    return manifest


def _restore_input(workspace: Workspace, empty: Workspace, needed: str) -> None:
    """Link an input from the store into the empty workspace."""
    manifest = _stored_input(workspace, needed)
    workspace.store.link(manifest, empty.artifact_path(needed), empty.graph / "scratch")
    write_atomically(empty.manifest_path(needed), manifest.encode())


def keep_copy(workspace: Workspace, second: LocatedArtifact) -> Path:
    """Move the second copy to ``work/second/``; return its path."""
    path = unused_path(workspace.work / "second" / second.manifest.artifact)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(str(second.root), path)
    return path
