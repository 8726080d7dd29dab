"""The store is the authority: what lies in results/ or claims to be an entry is used only if the store has it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tapeout.graph.errors import RequestRefused
from tapeout.graph.files import read_plain
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.named_runs import save
from tapeout.graph.store.entry import content_digest, encode, repeats
from tapeout.graph.store.store import object_mode
from tapeout.graph.upkeep.repair import repair
from tapeout.graph.upkeep.verify import verify
from tapeout.graph.workspace import State, Workspace
from tests.graph.folders import folder, make

Text = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """An artifact and one that was built from it."""
    workspace = folder(tmp_path, tmp_path / "store")
    make(workspace, "raw", "raw")
    make(workspace, "made", "right", "raw")
    return workspace


def put(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def forge_result(here: Workspace, name: str, action: str) -> Manifest:
    """Replace a result, with a manifest beside it that matches."""
    put(here.artifact_path(name), "forged")
    forged = Manifest.of(here.artifact_path(name), name, action)
    here.manifest_path(name).write_bytes(forged.encode())
    assert forged.matches(here.artifact_path(name))
    return forged


def forge_entry(here: Workspace, action: Action, text: str = "forged") -> Manifest:
    """Write an entry that is consistent, with its object, and claims another output."""
    source = here.work / "forged"
    source.write_text(text)
    forged = Manifest.of(source, action.artifact, action.digest)
    replace(here.store, trust=None).seal(action, forged, source)
    return forged


def test_forged_result_is_set_aside_and_the_stored_one_restored(here: Workspace, capfd: Text) -> None:
    action = here.action("made")
    forged = forge_result(here, "made", action.digest)
    assert here.manifest("made") is None and here.state(action) == (State.RESTORE, here.store.find(action.digest))
    assert here.restore(action) is State.CURRENT
    assert here.artifact_path("made").read_text() == "right"
    assert (here.work / "set_aside/made.0").read_text() == "forged"
    assert (here.work / "set_aside/made.manifest.json.0").read_bytes() == forged.encode()
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("! made: the one in results/ is not what the store has")


@pytest.mark.parametrize("unknown", ["another action", "lost entry"])
def test_manifest_whose_action_the_store_does_not_know_is_never_adopted(here: Workspace, unknown: str) -> None:
    action = here.action("made")
    if unknown == "lost entry":
        here.store.action_path(action.digest).unlink()
    else:
        action = Action({**action.value, "params": {"text": "never built"}})
        here.mark("made", State.BUILD, action)
    forge_result(here, "made", action.digest)
    assert here.state(action) == (State.BUILD, None)
    findings = verify(here, [], deep=True)
    assert {finding.artifact for finding in findings} == {"made"}
    repair(here, ["made"])
    assert here.store.find(action.digest) is None and here.manifest("made") is None
    with pytest.raises(RequestRefused, match="does not match its manifest"):
        save(here, "run", pinned=False)


def test_lost_entry_of_what_this_folder_built_is_written_again(here: Workspace, tmp_path: Path) -> None:
    action = here.action("made")
    before = here.store.find(action.digest)
    here.store.action_path(action.digest).unlink()
    assert here.state(action)[0] is State.CURRENT
    assert {finding.problem for finding in verify(here, [], deep=False)} == {
        "is missing: the store does not know the artifact"
    }
    repair(here, ["made"])
    assert here.store.find(action.digest) == before is not None
    here.store.action_path(action.digest).unlink()
    (here.work / "built").unlink()  # then nothing but results/ claims it
    repair(folder(tmp_path, tmp_path / "store"), ["made"])
    assert folder(tmp_path, tmp_path / "store").store.find(action.digest) is None


def test_entry_that_contradicts_what_this_folder_built_is_not_used(
    here: Workspace, tmp_path: Path, capfd: Text
) -> None:
    action = here.action("made")
    right = here.store.find(action.digest)
    forged = forge_entry(here, action)
    shutil.rmtree(here.results)
    again = folder(tmp_path, tmp_path / "store")
    assert right is not None and again.state(action) == (State.BUILD, None)
    text = capfd.readouterr().err
    assert "made: not reproducible, or forged" in text and right.digest() in text and forged.digest() in text
    assert folder(tmp_path / "other", tmp_path / "store").store.find(action.digest) == forged  # it built nothing


def test_an_entry_of_results_copied_to_another_name_is_none(here: Workspace) -> None:
    shutil.copy2(here.artifact_path("raw"), here.artifact_path("other"))
    shutil.copy2(here.manifest_path("raw"), here.manifest_path("other"))
    assert here.manifest("other") is None and here.manifest("raw") is not None


def test_quick_comparison_agrees_with_decoding(here: Workspace) -> None:
    action = here.action("made")
    manifest = here.store.find(action.digest)
    assert manifest is not None
    data, text = read_plain(here.store.action_path(action.digest)), here.manifest_path("made").read_bytes()
    assert repeats(data, text, manifest) == content_digest(action, manifest)
    for number in range(0, len(data), 7):  # whatever byte differs
        assert repeats(data[:number] + b"#" + data[number + 1 :], text, manifest) == ""
    other = replace(manifest, entries=(Entry("", False, 5, "0" * 64),))
    assert repeats(data, other.encode(), other) == ""
    assert repeats(encode({**action.value, "artifact": "x"}, manifest), text, manifest) == ""


@pytest.mark.parametrize("action", ["../../../victim", "x", "../" * 9 + "etc/passwd", "", "A" * 64])
def test_action_of_a_journal_or_manifest_leads_nowhere(here: Workspace, action: str) -> None:
    victim = here.results.parent / "victim.json"
    victim.write_text("precious")
    assert here.store.find(action) is None and here.store.read_entry(action) is None
    stated = Manifest("raw", action, "file", (Entry("", False, 3, "0" * 64),))
    here.manifest_path("raw").write_bytes(stated.encode())
    assert here.manifest("raw") is None
    assert victim.read_text() == "precious" and not (here.store.root / "quarantine").exists()


def test_what_is_downstream_of_damage_is_distrusted(here: Workspace) -> None:
    make(here, "last", "last", "made")
    make(here, "independent", "independent")
    save(here, "run", pinned=False)
    put(here.artifact_path("raw"), "damaged")
    found = {(finding.artifact, finding.problem) for finding in verify(here, [], deep=False) if not finding.path}
    assert found == {
        ("made", "was built from raw, which is damaged: build it again"),
        ("last", "was built from made, which is in doubt itself: build it again"),
    }
    repair(here, ["raw", "made", "last"])  # the bytes that the actions name are there again
    assert verify(here, [], deep=True) == []


def test_file_of_somebody_else_is_copied(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = here.store.find(here.action("made").digest)
    assert manifest is not None and object_mode(manifest.entries[0]) == 0o444
    stored = here.store.object_path(manifest.entries[0])
    here.store.link(manifest, here.results / "own", here.work / "scratch")
    assert stored.samefile(here.results / "own")
    monkeypatch.setattr("os.getuid", lambda: stored.stat().st_uid + 1)
    here.store.link(manifest, here.results / "copy", here.work / "scratch")
    assert not stored.samefile(here.results / "copy") and (here.results / "copy").read_text() == "right"
