"""Names of repositories and branches, and the licence of a model card."""

from pathlib import Path

import pytest

from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.second_builds import SecondBuild, note
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tapeout.provenance.publication import (
    Destination,
    InvalidPublication,
    licence_of,
    published_manifest,
    read_record,
    record_path,
    write_record,
)
from tests.graph.folders import folder, make


@pytest.mark.parametrize("name", ["lab/model", "Lab-1/a.b_c-2", "x/7b"])
def test_names_of_repositories_are_accepted(name: str) -> None:
    assert Destination.of(name, "main").repository == name


@pytest.mark.parametrize(
    "name", ["model", "a/b/c", "lab/", "/model", "lab/a..b", "lab/a--b", "lab/m.git", "lab/.a", "é/a"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidPublication, match="is not the name of a repository"):
        Destination.of(name, "main")


@pytest.mark.parametrize("branch", ["", "a b", "../main", "a..b", "x/", "v1.lock", "-x"])
def test_names_of_branches_are_checked(branch: str) -> None:
    with pytest.raises(InvalidPublication, match="is not the name of a branch"):
        Destination.of("lab/model", branch)


def test_the_hub_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert Destination.of("lab/model", "main").endpoint == "https://huggingface.co"
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert Destination.of("lab/model", "main").endpoint == "https://hub.example"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n# A", "mit"),
        ("---\nlicense: other\nlicense_name: own-1\n---\n", "own-1"),
        ("---\nlicense: other\n---\n", "other"),
    ],
)
def test_the_licence_is_that_of_the_card(card: str, licence: str, tmp_path: Path) -> None:
    (tmp_path / "NOTICE").touch()
    (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path, "export/hf") == licence


@pytest.mark.parametrize(
    "card", ["", "# A\n---\nlicense: mit\n---\n", "---\n- a\n---\n", "---\nlicense:\n---\n", "---\n{\n---\n"]
)
def test_a_card_without_a_licence_is_refused(card: str, tmp_path: Path) -> None:
    (tmp_path / "NOTICE").touch()
    (tmp_path / "README.md").write_text(card)
    with pytest.raises(InvalidPublication):
        licence_of(tmp_path, "export/hf")


def test_a_record_is_of_one_artifact_branch_and_hub(tmp_path: Path) -> None:
    workspace = Workspace(Store(tmp_path / "store"), results=tmp_path / "results")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").write_text("a")
    manifest = Manifest.of(tmp_path / "folder", "export/hf", "0" * 64)
    to = Destination("https://hub.example", "lab/model", "release/v1")
    record = write_record(workspace, manifest, to, "c" * 40)
    assert record_path(workspace, "export/hf", to).name == "release%2Fv1.json"
    assert read_record(workspace, "export/hf", to) == record
    for other in (
        Destination("https://other.example", "lab/model", "release/v1"),
        Destination("https://hub.example", "lab/model", "main"),
        Destination("https://hub.example", "lab/other", "release/v1"),
    ):
        assert read_record(workspace, "export/hf", other) is None
    assert read_record(workspace, "lora/adapter", to) is None


def test_an_artifact_that_a_second_build_has_refuted_is_not_published(tmp_path: Path) -> None:
    here = folder(tmp_path, tmp_path / "store")
    made = make(here, "made", {"README.md": "text"})
    assert published_manifest(here, "made") == made
    note(here.work, SecondBuild(made.action, made.digest(), "a" * 64))
    with pytest.raises(InvalidPublication, match="made is not reproducible"):
        published_manifest(here, "made")
