"""Folders with artifacts that were sealed without Snakemake, for tests of what is kept."""

from pathlib import Path

import pytest

from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import State, Workspace


def folder(place: Path, store: Path) -> Workspace:
    """A folder that uses a store; no Snakemake is needed to fill it."""
    return Workspace(Store(store), place / "results", place / "work", place / "runs")


def make(workspace: Workspace, name: str, text: str, *inputs: str, note: str = "") -> Manifest:
    """Make an artifact as the runner does, out of nothing but its text; a note changes the action alone."""
    references = {f"input_{number}": Reference(needed) for number, needed in enumerate(inputs)}
    params = {"text": text, "note": note}
    recipe = Recipe(name, "rule", "script.py", {"script.py": "0" * 64}, "e", "1" * 64, params, references)
    action = recipe.action(lambda needed: workspace.manifest(needed) or pytest.fail(needed))
    workspace.work.mkdir(parents=True, exist_ok=True)
    (workspace.work / "output").write_text(text)
    with workspace.store.in_use():
        manifest = Manifest.of(workspace.work / "output", name, action.digest)
        workspace.store.seal(action, manifest, workspace.work / "output")
        workspace.publish(manifest)
    workspace.mark(name, State.CURRENT, action)
    return manifest
