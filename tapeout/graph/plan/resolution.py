"""Resolve actions once their inputs exist, and restore artifacts that the store has.

If the action is unchanged, the artifact is not touched. Snakemake builds its graph again after each checkpoint, and so
cuts off everything downstream in the same run.
"""

from collections import Counter
from functools import cache

from tapeout.graph.files import retry_until_visible
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import State, Workspace

UNCHANGED, TO_BUILD = "unchanged, cut off", "to build"
RESTORED, FETCHED = "restored from the store", "restored from the remote"


def resolve(workspace: Workspace, head: str) -> dict[str, str]:
    """Resolve the actions of a batch, and return the outcome for each artifact.

    Args:
        workspace: folders of the run.
        head: first artifact of the batch, which names it.

    Raises:
        InputChanged: an input has no manifest any more.
        UnknownName: the plan of this run has no such batch.
    """

    @cache
    def manifest(name: str) -> Manifest:
        return retry_until_visible(lambda: workspace.built_manifest(name))

    actions = [recipe.action(manifest) for recipe in retry_until_visible(lambda: workspace.read_batch(head))]
    if workspace.remote is not None:
        # one query for all actions, because each query of a remote store takes time
        missing = [action for action in actions if workspace.state(action)[0] is State.BUILD]
        workspace.remote.fetch(workspace.remote.find(missing))
    forced = workspace.read_forced()
    outcomes = {action.artifact: _resolve(workspace, action) for action in actions}
    workspace.report_ignored()
    return outcomes | dict.fromkeys(forced & outcomes.keys(), TO_BUILD)


def _resolve(workspace: Workspace, action: Action) -> str:
    before = workspace.manifest(action.artifact)
    unchanged = before is not None and before.action == action.digest
    state = workspace.restore(action)
    workspace.mark(action.artifact, state, action)
    if state is State.BUILD:
        return TO_BUILD
    if unchanged:
        return UNCHANGED
    return FETCHED if workspace.remote is not None and action.digest in workspace.remote.fetched else RESTORED


def describe(head: str, outcomes: dict[str, str]) -> str:
    """Return the line about a batch; empty if all is to be built, because each step then prints its own line."""
    if set(outcomes.values()) == {TO_BUILD}:
        return ""
    if len(outcomes) == 1:
        return f"= {head}  {outcomes[head]}"
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes.values()).items()))
    return f"= {head} and {len(outcomes) - 1} like it: {counts}"
