"""Names on the command line: what each form refers to, and the errors of unknown ones."""

from pathlib import Path

import pytest

from tapeout.graph.address import Kind, locate, resolve
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import save
from tapeout.graph.workspace import Workspace
from tests.graph.folders import FINISHED, folder, make

RULES = {"sft_report": ["sft/report"], "notes": ["notes/de", "notes/en"], "sft/model": ["elsewhere"]}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace whose artifact ``sft/model`` was built twice; the first build is the run ``old``."""
    workspace = folder(tmp_path, tmp_path / "store")
    for text, run in (("first", "old"), ("second", "")):
        manifest = make(workspace, "sft/model", text)
        workspace.store.append_journal({"artifact": "sft/model", "action": manifest.action, "finished": FINISHED})
        if run:
            save(workspace, run, pinned=False)
    return workspace


def first(workspace: Workspace) -> Manifest:
    return next(
        Manifest.from_json(entry["manifest"])
        for _, entry in workspace.store.entries()
        if entry["action"]["params"]["text"] == "first"
    )


def test_every_form_of_address(workspace: Workspace) -> None:
    old = first(workspace)
    assert locate(workspace, "sft/model").manifest != old
    addresses = {
        "sft/model~1": Kind.EARLIER,
        "sft/model@old": Kind.IN_RUN,
        old.action[:12]: Kind.ACTION,
        old.digest(): Kind.DIGEST,
    }
    for text, kind in addresses.items():
        address, found = resolve(workspace, text, RULES), locate(workspace, text, RULES)
        assert (address.kind, address.artifact, address.action) == (kind, "sft/model", old.action)
        assert found.manifest == old and found.file(old.entries[0]).read_text() == "first"
    for text in ("sft/model/", "results/sft/model", "results/sft/model/"):  # as the shell completes them
        assert resolve(workspace, text).artifacts == ("sft/model",)
    path = str(workspace.runs / "old/sft/model")
    assert resolve(workspace, path).kind is Kind.PATH
    assert locate(workspace, path).manifest.digest() == old.digest()


def test_rules_runs_and_artifacts_that_were_not_built(workspace: Workspace) -> None:
    assert resolve(workspace, "notes", RULES).artifacts == ("notes/de", "notes/en")
    assert resolve(workspace, "notes/de", RULES).kind is Kind.ARTIFACT
    assert resolve(workspace, "sft/model", RULES).kind is Kind.ARTIFACT  # goes before the rule of that name
    run = resolve(workspace, "@old")
    assert (run.kind, run.run, run.artifacts) == (Kind.RUN, "old", ("sft/model",))
    current = resolve(workspace, "results")
    assert (current.kind, current.run, current.artifacts) == (Kind.RUN, "", ("sft/model",))
    with pytest.raises(UnknownName, match="has not been built"):
        locate(workspace, "sft_report", RULES)
    for text in ("notes", "@old"):
        with pytest.raises(UnknownName, match="not one artifact"):
            locate(workspace, text, RULES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sft/modle", "did you mean sft/model?"),
        ("sft_repor", "did you mean sft_report?"),
        ("sft/modle@old", "did you mean sft/model?"),
        ("sft/model@odl", "did you mean old?"),
        ("@odl", "There is no run odl; did you mean old?"),
        ("sft/model~9", "The store has no sft/model~9."),
        ("00000000", "no artifact or action with the digest 00000000"),
        ("./missing", "no file or folder ./missing"),
        ("entirely different", "no artifact or rule entirely different."),
    ],
)
def test_unknown_name_suggests_the_closest(workspace: Workspace, text: str, message: str) -> None:
    with pytest.raises(UnknownName) as raised:
        resolve(workspace, text, RULES)
    assert message in raised.value.cause


def test_files_that_are_gone_or_damaged_are_reported(workspace: Workspace) -> None:
    old = first(workspace)
    for text in (old.action, "sft/model@old", "sft/model~1"):
        assert locate(workspace, text).manifest == old
    workspace.store.object_path(old.entries[0]).unlink()
    with pytest.raises(UnknownName, match="deleted from the store"):
        locate(workspace, old.action)
    for path, text in (
        (workspace.runs / "old/sft/model", "sft/model@old"),
        (workspace.results / "sft/model", "sft/model"),
    ):
        path.chmod(0o644)
        path.write_text("edited")
        with pytest.raises(UnknownName, match="does not match its manifest"):
            locate(workspace, text)
