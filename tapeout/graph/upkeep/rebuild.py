"""Building a step a second time, in an empty folder and without a network: does it make the same again?

Nothing of ``results/`` is read or changed: the inputs come out of the store, each byte of them checked, and the second
copy stays in a folder of its own.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tapeout.graph.address import LocatedArtifact
from tapeout.graph.errors import RebuildError
from tapeout.graph.files import unused_path, write_atomically
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.run.runner import Step, perform
from tapeout.graph.workspace import State, Workspace


@dataclass(frozen=True)
class Rebuilt:
    """The artifact as the store has it, the second copy, and how many seconds the program took."""

    old: LocatedArtifact
    new: LocatedArtifact
    seconds: float


@contextmanager
def rebuilt(
    workspace: Workspace, recipe: Recipe, action: Action | None, threads: int, offline: bool, launch: Launch
) -> Iterator[Rebuilt]:
    """Build an artifact's action again; the second copy is gone when the context ends, unless it was moved away.

    Args:
        workspace: where the first copy lies.
        recipe: the step as the project describes it now.
        action: its action, None if inputs are missing.
        threads: for the program.
        offline: whether the program is kept from the network.
        launch: how this site starts programs.

    Raises:
        RebuildError: code, parameters, environment or inputs are no longer those that made the artifact.
        RebuildError: the store lacks an input.
        StepFailed, StepFailed, InputChanged: see ``runner.build``.
    """
    name = recipe.artifact
    sealed = workspace.manifest(name)
    if action is None or sealed is None or sealed.action != action.digest:
        raise RebuildError(
            f"{name} in results/ was not made by what the project describes now.",
            f"Run snakemake first, or go to the commit that made it; tapeout why {name} shows what changed.",
        )
    known = workspace.store.find(action.digest)
    if known is None or not workspace.store.verify_objects(known):
        raise RebuildError(f"The store does not have {name} itself.", "Run: tapeout verify --deep --repair")
    workspace.work.mkdir(parents=True, exist_ok=True)
    # held to the end: the garbage collector leaves alone what belongs to an action that somebody holds
    held, scratch = (
        workspace.store.lock_action(action.digest),
        tempfile.TemporaryDirectory("", "rebuild.", workspace.work),
    )
    with held, scratch as folder:
        empty = replace(workspace, results=Path(folder, "results"), work=Path(folder, "work"))
        for needed in recipe.dependencies():
            _lay_out(workspace, empty, needed)
        empty.mark(name, State.BUILD, action)
        log = Path("logs", "rebuild", f"{name}.log")
        step = Step(empty, recipe, action, threads, log, offline, launch)
        manifest, seconds = perform(step)
        old = LocatedArtifact(name, known, None, workspace.store)
        yield Rebuilt(old, LocatedArtifact(f"{name} (second copy)", manifest, step.output, workspace.store), seconds)


def _lay_out(workspace: Workspace, empty: Workspace, needed: str) -> None:
    """Put an input into the empty folder, out of the store."""
    beside = workspace.manifest(needed)
    manifest = workspace.store.find(beside.action) if beside is not None else None
    if manifest is None or not workspace.store.verify_objects(manifest):
        raise RebuildError(f"The store does not have {needed} whole.", "Run: tapeout verify --deep --repair")
    workspace.store.link(manifest, empty.artifact_path(needed), empty.graph / "scratch")
    write_atomically(empty.manifest_path(needed), manifest.encode())


def keep(workspace: Workspace, second: LocatedArtifact) -> Path:
    """Move the second copy to ``work/second/``; returns where it is."""
    place = workspace.work / "second" / second.manifest.artifact
    place.parent.mkdir(parents=True, exist_ok=True)
    kept = unused_path(place)
    shutil.move(str(second.root), kept)
    return kept
