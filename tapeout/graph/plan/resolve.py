"""Program of the checkpoint: resolve actions once their inputs exist, and restore artifacts that the store has.

Usage: ``python -m tapeout.graph.plan.resolve HEAD``. It resolves the batch of the artifact HEAD. An unchanged action
leaves its artifact as it is, so that Snakemake, which builds its graph again after a checkpoint, cuts off everything
downstream in the same run.
"""

import sys
from collections import Counter
from functools import cache

from tapeout.graph.console import print_line
from tapeout.graph.errors import GraphError
from tapeout.graph.files import report_disk_full, retry_until_visible
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import State, Workspace

UNCHANGED, TO_BUILD = "unchanged, cut off", "to build"
RESTORED, FETCHED = "restored from the store", "restored from the remote"


def resolve(workspace: Workspace, head: str) -> dict[str, str]:
    """Resolve a batch, and return the outcome for each artifact.

    Raises:
        InputChanged: an input has lost its manifest.
        UnknownName: the plan of this run has no such batch.
    """

    @cache
    def manifest(name: str) -> Manifest:
        return retry_until_visible(lambda: workspace.built_manifest(name))

    actions = [recipe.action(manifest) for recipe in retry_until_visible(lambda: workspace.read_batch(head))]
    if workspace.remote is not None:
        # all at once, because each query of a remote store takes time
        missing = [action for action in actions if workspace.state(action)[0] is State.BUILD]
        workspace.remote.fetch(workspace.remote.find(missing))
    return {action.artifact: _resolve(workspace, action) for action in actions}


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


def main() -> None:
    """Resolve the batch named on the command line, and create the checkpoint's stamp."""
    workspace, head = Workspace.here(), sys.argv[1]
    try:
        with report_disk_full(), workspace.lock_decisions():
            outcomes = resolve(workspace, head)
            workspace.mark_family(head, resolved=True)
    except GraphError as error:
        print_line(error)
        raise SystemExit(1) from None
    if set(outcomes.values()) == {TO_BUILD}:
        return  # each step prints a line when it begins
    if len(outcomes) > 1:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes.values()).items()))
        print_line(f"= {head} and {len(outcomes) - 1} like it: {counts}")
    else:
        print_line(f"= {head}  {outcomes[head]}")


if __name__ == "__main__":
    main()
