"""Workspaces with artifacts that were sealed without Snakemake."""

import shutil
from pathlib import Path

import pytest

from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.store import Store
from tapeout.graph.store.trust import Trust
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import Project

FINISHED = "2026-01-01T00:00:00+00:00"
"""When the steps ended that a test adds to the journal."""


def folder(root: Path, store: Path) -> Workspace:
    """Return the workspace of a folder that uses a store."""
    trust = Trust(root / "config/trust", root / "work/built")
    return Workspace(Store(store, trust), root / "results", root / "work", root / "runs")


def workspace_of(project: Project) -> Workspace:
    """Return the workspace of a project with a separate store."""
    return folder(project.root, project.path("store"))


def make(workspace: Workspace, name: str, text: str | dict[str, str], *inputs: str, note: str = "") -> Manifest:
    """Seal and publish an artifact as the runner does; a note changes the action but not the bytes.

    ``text`` is that of a file, or those of the files of a folder by path.
    """
    references = {f"input_{number}": Reference(needed) for number, needed in enumerate(inputs)}
    params = {"text": text, "note": note}
    recipe = Recipe(name, "rule", "script.py", {"script.py": "0" * 64}, "e", "1" * 64, params, references)
    action = recipe.action(lambda needed: workspace.manifest(needed) or pytest.fail(needed))
    shutil.rmtree(workspace.work / "output", ignore_errors=True)  # the folders of the files of an earlier artifact
    for path, content in text.items() if isinstance(text, dict) else [("", text)]:
        file = workspace.work / "output" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    with workspace.store.in_use():
        manifest = Manifest.of(workspace.work / "output", name, action.digest)
        workspace.store.seal(action, manifest, workspace.work / "output")
        workspace.publish(manifest)
    workspace.mark(name, State.CURRENT, action)
    return manifest
