"""Named runs, and the addresses by which a person names an artifact."""

from pathlib import Path

import pytest

from tapeout.graph.address import locate
from tapeout.graph.errors import NamedRunError, UnknownName
from tapeout.graph.named_runs import (
    artifact_names,
    list_runs,
    read_run,
    save,
)
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tests.graph.conftest import ALL, Project


def workspace_of(project: Project) -> Workspace:
    root = project.root
    return Workspace(Store(root / "store"), root / "results", root / "work", root / "runs")


def test_a_named_run_keeps_the_results_and_takes_no_space(built: Project) -> None:
    workspace = workspace_of(built)
    run = save(workspace, "before", pinned=False)
    assert sorted(run.artifacts) == ALL and read_run(workspace, "before") == run
    kept, now = workspace.runs / "before" / "report.txt", workspace.results / "report.txt"
    assert kept.stat().st_ino == now.stat().st_ino
    old = now.read_bytes()
    built.path("src/data.txt").write_text("b\na\nd\n")
    built.run()
    assert now.read_bytes() != old and kept.read_bytes() == old
    with pytest.raises(NamedRunError):
        save(workspace, "before", pinned=False)
    save(workspace, "after", pinned=True)
    assert {found.name: found.pinned for found in list_runs(workspace)} == {"before": False, "after": True}


def test_names_that_cannot_be_folders_and_results_that_are_not_sound(built: Project, tmp_path: Path) -> None:
    workspace = workspace_of(built)
    for name in ("", "..", "a/b", ".hidden", "a b"):
        with pytest.raises(NamedRunError):
            save(workspace, name, pinned=False)
    with pytest.raises(UnknownName):
        read_run(workspace, "never")
    with pytest.raises(NamedRunError):
        save(Workspace(Store(tmp_path / "none"), tmp_path / "no"), "empty", pinned=False)
    (workspace.results / "report.txt").chmod(0o644)
    (workspace.results / "report.txt").write_text("edited")
    with pytest.raises(NamedRunError):
        save(workspace, "edited", pinned=False)


def test_every_form_of_address(built: Project) -> None:
    workspace = workspace_of(built)
    first = locate(workspace, "report.txt").manifest
    save(workspace, "before", pinned=False)
    built.path("src/data.txt").write_text("b\na\nd\n")
    built.run()
    second = locate(workspace, "report.txt").manifest
    assert second != first
    for address in ("report.txt~1", "report.txt@before", first.action[:12], first.digest()):
        place = locate(workspace, address)
        assert place.manifest == first, address
        assert place.file(first.entries[0]).read_bytes() == (workspace.runs / "before/report.txt").read_bytes()
    path = str(workspace.runs / "before/report.txt")
    assert locate(workspace, path).manifest.digest() == first.digest()
    for address in ("report.txt~9", "nothing", "00000000", "./nowhere", "nothing@before"):
        with pytest.raises(UnknownName):
            locate(workspace, address)
    with pytest.raises(UnknownName):
        locate(workspace, "report.txt@never")


def test_a_file_called_like_a_manifest_inside_an_artifact_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("model.manifest.json", "model/weights.manifest.json", "other.manifest.json"):
        (tmp_path / name).write_text("{}")
    assert list(artifact_names(tmp_path)) == ["model", "other"]
