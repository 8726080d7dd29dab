"""What the checkpoint runs: resolve actions once their inputs exist, and restore what the store has.

``python -m tapeout.graph.plan.resolve ARTIFACT`` resolves the artifact and all that the plan has put into its family. An
unchanged action leaves the artifact as it is, so that Snakemake, which looks again after a checkpoint, cuts off
everything behind it in the same run.
"""

import sys
from collections import Counter
from functools import cache

from tapeout.graph.errors import GraphError
from tapeout.graph.files import report_disk_full, retry_until_visible
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import State, Workspace

UNCHANGED, TO_BUILD = "unchanged, cut off", "to build"
RESTORED, FETCHED = "restored from the store", "restored from the remote"


def resolve(workspace: Workspace, head: str) -> dict[str, str]:
    """Resolve a family; returns for each artifact what became of it.

    Raises:
        InputChanged: an input has no manifest any more.
        UnknownName: the plan of this run does not have the family.
    """

    @cache
    def manifest(name: str) -> Manifest:
        return retry_until_visible(lambda: workspace.built_manifest(name))

    actions = [recipe.action(manifest) for recipe in retry_until_visible(lambda: workspace.read_family(head))]
    if workspace.remote is not None:
        # all at once, because asking a remote takes its time
        lacking = [action for action in actions if workspace.state(action)[0] is State.BUILD]
        workspace.remote.fetch(workspace.remote.find(lacking))
    return {action.artifact: _resolve(workspace, action) for action in actions}


def _resolve(workspace: Workspace, action: Action) -> str:
    before = workspace.manifest(action.artifact)
    was = before is not None and before.action == action.digest
    state = workspace.restore(action)
    workspace.mark(action.artifact, state, action)
    if state is State.BUILD:
        return TO_BUILD
    if was:
        return UNCHANGED
    return FETCHED if workspace.remote is not None and action.digest in workspace.remote.fetched else RESTORED


def main() -> None:
    """Resolve the family named on the command line and leave the checkpoint's stamp."""
    workspace, head = Workspace.here(), sys.argv[1]
    try:
        with report_disk_full(), workspace.lock_decisions():
            found = resolve(workspace, head)
            workspace.mark_family(head, resolved=True)
    except GraphError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    if set(found.values()) == {TO_BUILD}:
        return  # each says so when it begins
    if len(found) > 1:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(found.values()).items()))
        print(f"= {head} and {len(found) - 1} like it: {counts}", file=sys.stderr)
    else:
        print(f"= {head}  {found[head]}", file=sys.stderr)


if __name__ == "__main__":
    main()
