"""Likely outcome of a plan: judged from earlier builds, else from the kind of the change."""

from dataclasses import replace
from pathlib import Path

import pytest

from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.outlook import Outlook, outlooks
from tapeout.graph.workspace import State, Workspace
from tests.graph.folders import FINISHED, folder, make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in which ``words`` was built from four versions of ``raw``, and gave other bytes once."""
    workspace = folder(tmp_path, tmp_path / "store")
    for raw, words in (("1", "a"), ("2", "a"), ("3", "b"), ("4", "b")):
        for name, text, needs in (("raw", raw, ()), ("words", words, ("raw",)), ("report", words, ("words",))):
            manifest = make(workspace, name, text, *needs)
            workspace.store.append_journal(
                {"artifact": name, "rule": name, "action": manifest.action, "finished": FINISHED}
            )
    return workspace


def recipe(name: str, text: str, *needs: str, environment: str = "1" * 64) -> Recipe:
    """Return the recipe that ``make`` uses."""
    inputs = {f"input_{number}": Reference(need) for number, need in enumerate(needs)}
    code = {"script.py": "0" * 64}
    return Recipe(name, name, "script.py", code, "e", environment, {"text": text, "note": ""}, inputs)


def judge(workspace: Workspace, raw: Recipe, forced: tuple[str, ...] = ()) -> dict[str, Outlook]:
    """Return the outlook after a change of ``raw``."""
    waiting = [
        (recipe("words", "b", "raw"), ("raw",)),
        (recipe("report", "b", "words"), ("words",)),
    ]
    decisions = [(Decision(raw, State.BUILD, raw.action({}.__getitem__)), True)]
    decisions += [(Decision(made, State.WAITING, None, needs), False) for made, needs in waiting]
    return outlooks(workspace, decisions, set(forced), workspace.store.journal())


def test_earlier_builds_show_whether_bytes_change(workspace: Workspace) -> None:
    found = judge(workspace, recipe("raw", "5"))
    assert found["raw"] == Outlook(True, True, "it wrote other bytes in 3 of 3 builds with other parameters")
    assert found["words"] == Outlook(True, False, "it wrote other bytes in 1 of 3 builds with other inputs")
    assert found["report"] == Outlook(False, False)


def test_kind_of_the_change_decides_without_earlier_builds(workspace: Workspace) -> None:
    found = judge(workspace, recipe("raw", "4", environment="2" * 64))
    assert found["raw"].runs and not found["raw"].changes and "its packages changed" in found["raw"].basis
    assert found["words"] == found["report"] == Outlook(False, False)
    fresh = replace(workspace, results=workspace.results.with_name("other"))
    assert judge(fresh, recipe("raw", "5"))["words"].changes


def test_step_that_is_only_compared_changes_nothing(workspace: Workspace) -> None:
    found = judge(workspace, recipe("raw", "4"), forced=("raw",))
    assert found["raw"].runs and not found["words"].runs and not found["report"].runs
