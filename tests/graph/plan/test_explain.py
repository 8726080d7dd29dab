"""Explanation of a change: where it originates, also if several steps built equal bytes, and the table of an action."""

from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.plan.explain import Comparison, causes, table
from tapeout.graph.store.action_index import ActionIndex, inputs
from tapeout.graph.workspace import Workspace
from tests.graph.folders import FINISHED, folder, make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder with ``made`` from ``raw``, which two actions ("first" and "second") made with the same bytes."""
    workspace = folder(tmp_path, tmp_path / "store")
    for note in ("first", "second"):
        raw = make(workspace, "raw", "raw", note=note)
        workspace.store.append_journal({"artifact": "raw", "action": raw.action, "finished": FINISHED})
    make(workspace, "made", "made", "raw")
    return workspace


def with_note(workspace: Workspace, name: str, note: str) -> dict[str, Any]:
    """Return the action of an artifact with another parameter ``note``."""
    value = workspace.action(name).value
    return {**value, "params": {**value["params"], "note": note}}


def changes_of_raw(workspace: Workspace, raw: dict[str, Any], known: dict[str, str]) -> list[tuple[Any, Any]]:
    old = workspace.action("made").value
    result = causes(ActionIndex(workspace.store), "made", old, {"made": old, "raw": raw}, known)
    assert all(cause.artifact == "raw" and cause.path == ("made", "raw") for cause in result)
    return [(change.old, change.new) for cause in result for change in cause.changes]


def test_of_several_makers_todays_is_preferred_then_that_of_the_results_then_the_latest(workspace: Workspace) -> None:
    by_note = {entry["action"]["params"]["note"]: digest for digest, entry in workspace.store.entries()}
    third = with_note(workspace, "raw", "third")
    assert changes_of_raw(workspace, with_note(workspace, "raw", "first"), {}) == []
    assert changes_of_raw(workspace, third, {"raw": by_note["first"]}) == [("first", "third")]
    assert changes_of_raw(workspace, third, {}) == [("second", "third")]
    assert changes_of_raw(workspace, third, {"raw": "0" * 64}) == [("second", "third")]


def test_a_waiting_input_has_no_digest_but_names_where_its_change_began(workspace: Workspace) -> None:
    old = workspace.action("made").value
    current = {"made": old, "raw": with_note(workspace, "raw", "third")}
    result = causes(ActionIndex(workspace.store), "made", old, current, {})
    today = {"input_0": {**next(inputs(old)), "digest": None}}
    *same, row = table(old, old, today, result, workspace.store)
    assert [(row.kind, row.result) for row in same] == [
        ("code", Comparison.SAME),
        ("parameter", Comparison.SAME),
        ("environment", Comparison.SAME),
    ]
    assert (row.name, row.result, row.origins) == ("input_0: raw", Comparison.WAITS, ("raw",))
    assert row.old == next(inputs(old))["digest"] and row.new is None


def test_many_unchanged_inputs_share_one_row(workspace: Workspace) -> None:
    names = [f"shard-{number:02}" for number in range(20)]
    for name in names:
        make(workspace, name, name)
    make(workspace, "all", "all", *names)
    old = workspace.action("all").value
    assert [row.name for row in table(old, old, old["inputs"], [], workspace.store)[3:]] == ["all 20"]
    changed = {**old["inputs"], "input_7": {**old["inputs"]["input_7"], "digest": "0" * 64}}
    del changed["input_8"]
    rows = table(old, old, changed, [], workspace.store)[3:]
    assert [(row.name, row.result) for row in rows] == [
        ("input_7: shard-07", Comparison.CHANGED),
        ("input_8: shard-08", Comparison.CHANGED),
        ("the other 18", Comparison.SAME),
    ]
