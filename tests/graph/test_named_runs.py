"""Named runs: what is saved, and which names and results are refused."""

from pathlib import Path

import pytest

from tapeout.graph.errors import RequestRefused, UnknownName
from tapeout.graph.named_runs import artifact_names, list_runs, protect, read_run, remove, save, summarize
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tests.graph.folders import folder, make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with two artifacts, of which the second depends on the first."""
    workspace = folder(tmp_path, tmp_path / "store")
    make(workspace, "raw", "raw bytes")
    make(workspace, "report", "old", "raw")
    return workspace


def test_named_run_keeps_results_and_needs_no_space(workspace: Workspace) -> None:
    run = save(workspace, "before", pinned=False)
    assert sorted(run.artifacts) == ["raw", "report"] and read_run(workspace, "before") == run
    saved, current = workspace.runs / "before" / "report", workspace.results / "report"
    assert saved.stat().st_ino == current.stat().st_ino
    make(workspace, "report", "new", "raw")
    assert current.read_text() == "new" and saved.read_text() == "old"
    with pytest.raises(RequestRefused, match="has different results"):
        save(workspace, "before", pinned=False)
    save(workspace, "after", pinned=True)
    assert {found.name: found.pinned for found in list_runs(workspace)} == {"before": False, "after": True}
    before = next(summary for summary in summarize(workspace) if summary.run.name == "before")
    assert list(before.ends) == ["report"] and before.differing == ("report",)
    assert (before.size, before.own_size) == (len("raw bytes") + len("old"), len("old"))


def test_protected_run_is_not_removed(workspace: Workspace) -> None:
    save(workspace, "run", pinned=True)
    with pytest.raises(RequestRefused, match="is protected"):
        remove(workspace, "run")
    assert not protect(workspace, "run", False).pinned
    remove(workspace, "run")
    assert list_runs(workspace) == [] and not list(workspace.runs.iterdir())


def test_invalid_names_and_damaged_results_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("", "..", "a/b", ".hidden", "a b"):
        with pytest.raises(RequestRefused, match="is not a valid run name"):
            save(workspace, name, pinned=False)
    with pytest.raises(UnknownName):
        read_run(workspace, "never")
    with pytest.raises(RequestRefused, match="no results"):
        save(Workspace(Store(tmp_path / "none"), tmp_path / "no"), "empty", pinned=False)
    (workspace.results / "report").chmod(0o644)
    (workspace.results / "report").write_text("edited")
    with pytest.raises(RequestRefused, match="does not match its manifest"):
        save(workspace, "edited", pinned=False)


def test_file_named_like_a_manifest_is_not_an_artifact(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("model.manifest.json", "model/weights.manifest.json", "other.manifest.json"):
        (tmp_path / name).write_text("{}")
    assert list(artifact_names(tmp_path)) == ["model", "other"]
