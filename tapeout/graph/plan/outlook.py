"""Likely outcome of a plan: which of the steps that wait for others will run, judged from earlier builds.

A step whose inputs are not built yet runs only if their bytes change. Whether they will is judged from the journal: how
often the step, or its rule, wrote other bytes when the same kind of thing had changed. Without such builds the kind of
the change decides: changed packages are expected to give the same bytes, everything else other bytes.
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
"""Number of earlier builds that are considered, the latest ones; each is read from the store."""
PARTS = {"code": "code", "params": "parameters", "plugins": "code", "script": "code", "environment": "packages"}
"""Parts of an action other than its inputs, as people call them."""
INPUTS = "inputs"


@dataclass(frozen=True)
class Outlook:
    """What probably becomes of a step.

    Attributes:
        runs: whether it probably runs.
        changes: whether its bytes probably change.
        basis: why its bytes are expected to change or not; empty if it probably does not run.
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
    """Judge each step of a plan.

    Args:
        workspace: its results and store have the former actions.
        steps: decisions in dependency order, each with whether it runs in any case.
        forced: artifacts that exist, and are built again only to be compared.
        journal: builds in their order.
    """
    history = _History(workspace.store, list(journal))
    result: dict[str, Outlook] = {}
    for decision, certain in steps:
        recipe = decision.recipe
        if recipe.artifact in forced:
            result[recipe.artifact] = Outlook(True, False, "it is only compared")
            continue
        # what the plan does not build has the bytes that it had
        changing = [need for need in decision.waits_for if need not in result or result[need].changes]
        if not certain and not changing:
            result[recipe.artifact] = Outlook(False, False)
            continue
        result[recipe.artifact] = Outlook(True, *_judge(workspace, history, decision, bool(changing)))
    return result


def _judge(workspace: Workspace, history: "_History", decision: Decision, new_inputs: bool) -> tuple[bool, str]:
    """Return whether the bytes of a step that runs probably change, and why."""
    recipe = decision.recipe
    manifest = workspace.manifest(recipe.artifact)
    entry = workspace.store.read_entry(manifest.action) if manifest is not None else None
    if entry is None:
        return True, "it was not built before" if manifest is None else "the store does not know the former action"
    new = decision.action.value if decision.action is not None else recipe.describe(entry["action"]["inputs"])
    kinds = _changed_parts(entry["action"], new) | ({INPUTS} if new_inputs else set())
    for label, rebuilds in (("it", history.of_artifact(recipe.artifact)), ("its rule", history.of_rule(recipe.rule))):
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
    """Rebuilds of the journal by artifact and by rule: what had changed, and whether the bytes did."""

    def __init__(self, store: Store, journal: list[dict[str, Any]]) -> None:
        self.store = store
        self.by_artifact: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.artifacts: dict[str, dict[str, None]] = defaultdict(dict)  # by rule, the latest last
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
        """Return the rebuilds of the artifacts that a rule made last."""
        return [rebuild for name in list(self.artifacts[rule])[-MAX_BUILDS:] for rebuild in self.of_artifact(name)]


def _changed_parts(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Return what differs between two actions, as people call it."""
    own = {label for part, label in PARTS.items() if old.get(part) != new.get(part)}
    return own | ({INPUTS} if old["inputs"] != new["inputs"] else set())
