"""Predict from earlier builds which waiting steps of a plan will run.

A step whose inputs are not built yet runs only if the bytes of an input change. The prediction counts, in the journal,
how often a step, or else its rule, wrote other bytes after a change of the same kind (code, parameters, packages,
inputs). If no such build is recorded, a change of packages is expected to keep the bytes, and any other change to
change them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tapeout.graph.plan.decide import Decision
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace

MAX_BUILDS = 20
"""Number of latest builds to consider; each is read from the store."""
PARTS = {"code": "code", "params": "parameters", "plugins": "code", "script": "code", "environment": "packages"}
"""Labels of the parts of an action other than its inputs, for messages."""
INPUTS = "inputs"


@dataclass(frozen=True)
class Outlook:
    """Prediction for one step.

    Attributes:
        runs: whether the step probably runs.
        changes: whether its bytes probably change.
        basis: reason for ``changes``, as part of a sentence; empty if the step probably does not run.
    """

    runs: bool
    changes: bool
    basis: str = ""


def outlooks(
    workspace: Workspace,
    steps: Iterable[tuple[Decision, bool]],
    forced: set[str],
    journal: Iterable[dict[str, Any]],
) -> dict[str, Outlook]:
    """Return the prediction for each step of a plan, by artifact.

    Args:
        workspace: folders whose results and store contain the previous actions.
        steps: decisions in dependency order, each with a flag that is true if the step is certain to run.
        forced: existing artifacts that are built again only to compare the bytes.
        journal: recorded builds, oldest first.
    """
    history = _History(workspace.store, list(journal))
    result: dict[str, Outlook] = {}
    for decision, certain in steps:
        recipe = decision.recipe
        if recipe.artifact in forced:
            result[recipe.artifact] = Outlook(True, False, "it is only compared")
            continue
        # an input that the plan does not build counts as changed
        changing = [need for need in decision.waits_for if need not in result or result[need].changes]
        if not certain and not changing:
            result[recipe.artifact] = Outlook(False, False)
            continue
        result[recipe.artifact] = Outlook(True, *_judge(workspace, history, decision, bool(changing)))
    return result


def _judge(workspace: Workspace, history: "_History", decision: Decision, new_inputs: bool) -> tuple[bool, str]:
    """Return whether a step that runs probably changes its bytes, and the reason."""
    recipe = decision.recipe
    manifest = workspace.manifest(recipe.artifact)
    entry = workspace.store.read_entry(manifest.action) if manifest is not None else None
    if entry is None:
        return True, "it was not built before" if manifest is None else "the store does not know the former action"
    new = decision.action.value if decision.action is not None else recipe.describe(entry["action"]["inputs"])
    kinds = _changed_parts(entry["action"], new) | ({INPUTS} if new_inputs else set())
    for label, rebuilds in (
        ("it", history.of_artifact(recipe.artifact)),
        ("its rule", history.of_rule(recipe.base_rule)),
    ):
        outcomes = [changed for parts, changed in rebuilds if parts & kinds]
        if outcomes:
            changed, total = sum(outcomes), len(outcomes)
            when = " and ".join(sorted(kinds))
            return 2 * changed >= total, f"{label} wrote other bytes in {changed} of {total} builds with other {when}"
    changes = kinds != {"packages"}
    return (
        changes,
        f"assumed, because its {' and '.join(sorted(kinds)) or 'action'} changed and no such build is recorded",
    )


class _History:
    """Recorded rebuilds by artifact and by rule: the changed parts of the action, and whether the bytes changed."""

    def __init__(self, store: Store, journal: list[dict[str, Any]]) -> None:
        self.store = store
        self.by_artifact: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.artifacts: dict[str, dict[str, None]] = defaultdict(dict)  # by rule, most recently built last
        for line in journal:
            self.by_artifact[line["artifact"]].append(line)
            artifacts = self.artifacts[line.get("rule", "")]
            artifacts.pop(line["artifact"], None)
            artifacts[line["artifact"]] = None
        self.known: dict[str, list[tuple[set[str], bool]]] = {}

    def of_artifact(self, name: str) -> list[tuple[set[str], bool]]:
        """Return the latest rebuilds of an artifact."""
        if name not in self.known:
            lines = self.by_artifact[name][-MAX_BUILDS:]
            entries = [self.store.read_entry(line["action"]) for line in lines]
            pairs = [(old, new) for old, new in pairwise(entries) if old is not None and new is not None]
            self.known[name] = [
                (_changed_parts(old["action"], new["action"]), old["manifest"]["digest"] != new["manifest"]["digest"])
                for old, new in pairs
            ]
        return self.known[name]

    def of_rule(self, rule: str) -> list[tuple[set[str], bool]]:
        """Return the latest rebuilds of the artifacts that a rule built most recently."""
        return [rebuild for name in list(self.artifacts[rule])[-MAX_BUILDS:] for rebuild in self.of_artifact(name)]


def _changed_parts(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Return the labels of the parts in which two actions differ."""
    own = {label for part, label in PARTS.items() if old.get(part) != new.get(part)}
    return own | ({INPUTS} if old["inputs"] != new["inputs"] else set())
