"""Where a change began, when the store knows several steps that made the same bytes, and what the table says."""

from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.plan.explain import Same, causes, table
from tapeout.graph.store.action_index import ActionIndex, inputs
from tapeout.graph.workspace import Workspace
from tests.graph.folders import folder, make


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """``made`` from ``raw``, which two steps made alike, the second of them last."""
    workspace = folder(tmp_path, tmp_path / "store")
    for note in ("first", "second"):
        raw = make(workspace, "raw", "raw", note=note)
        workspace.store.append_journal({"artifact": "raw", "action": raw.action})
    make(workspace, "made", "made", "raw")
    return workspace


def noted(workspace: Workspace, name: str, note: str) -> dict[str, Any]:
    """The action of an artifact, with another note."""
    value = workspace.action(name).value
    return {**value, "params": {**value["params"], "note": note}}


def began(workspace: Workspace, raw: dict[str, Any], known: dict[str, str]) -> list[tuple[Any, Any]]:
    old = workspace.action("made").value
    found = causes(ActionIndex(workspace.store), "made", old, {"made": old, "raw": raw}, known)
    assert all(cause.artifact == "raw" and cause.path == ("made", "raw") for cause in found)
    return [(change.old, change.new) for cause in found for change in cause.changes]


def test_of_steps_that_made_the_same_todays_wins_then_the_one_beside_then_the_latest(
    here: Workspace,
) -> None:
    by_note = {entry["action"]["params"]["note"]: digest for digest, entry in here.store.entries()}
    assert began(here, noted(here, "raw", "first"), {}) == []
    assert began(here, noted(here, "raw", "third"), {"raw": by_note["first"]}) == [("first", "third")]
    assert began(here, noted(here, "raw", "third"), {}) == [("second", "third")]
    assert began(here, noted(here, "raw", "third"), {"raw": "0" * 64}) == [("second", "third")]


def test_an_input_that_waits_has_no_digest_yet_and_names_where_its_change_began(here: Workspace) -> None:
    old = here.action("made").value
    current = {"made": old, "raw": noted(here, "raw", "third")}
    found = causes(ActionIndex(here.store), "made", old, current, {})
    today = {"input_0": {**next(inputs(old)), "digest": None}}
    *same, row = table(old, old, today, found, here.store)
    assert [(each.kind, each.same) for each in same] == [
        ("code", Same.SAME),
        ("parameter", Same.SAME),
        ("environment", Same.SAME),
    ]
    assert (row.name, row.same, row.began) == ("input_0: raw", Same.WAITS, ("raw",))
    assert row.old == next(inputs(old))["digest"] and row.new is None


def test_many_inputs_that_are_the_same_are_one_row(here: Workspace) -> None:
    names = [f"shard-{number:02}" for number in range(20)]
    for name in names:
        make(here, name, name)
    make(here, "all", "all", *names)
    old = here.action("all").value
    assert [row.name for row in table(old, old, old["inputs"], [], here.store)[3:]] == ["all 20"]
    changed = {**old["inputs"], "input_7": {**old["inputs"]["input_7"], "digest": "0" * 64}}
    del changed["input_8"]
    rows = table(old, old, changed, [], here.store)[3:]
    assert [(row.name, row.same) for row in rows] == [
        ("input_7: shard-07", Same.CHANGED),
        ("input_8: shard-08", Same.CHANGED),
        ("the other 18", Same.SAME),
    ]
