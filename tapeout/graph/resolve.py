"""What the checkpoint runs: resolve one artifact's action once its inputs exist, and restore it if the store can.

``python -m tapeout.graph.resolve ARTIFACT``. An unchanged action leaves the artifact as it is, so that Snakemake,
which looks again after a checkpoint, cuts off everything behind it in the same run.
"""

import sys

from tapeout.graph.digest import disk_full_is_named
from tapeout.graph.errors import GraphError, InputChanged
from tapeout.graph.manifest import Manifest
from tapeout.graph.workspace import State, Workspace


def resolve(workspace: Workspace, artifact: str) -> State:
    """Resolve one artifact; returns CURRENT or BUILD.

    Raises:
        InputChanged: an input has no manifest any more.
        UnknownArtifact: the plan of this run does not have it.
    """
    recipe, _ = workspace.read_recipe(artifact)

    def manifest(name: str) -> Manifest:
        found = workspace.manifest(name)
        if found is None:
            raise InputChanged(f"Artifact {name} has lost its manifest.", "Run Snakemake again.")
        return found

    action = recipe.action(manifest)
    before = workspace.manifest(artifact)
    was = before is not None and before.action == action.digest
    state = workspace.realise(action)
    workspace.mark(artifact, state, action)
    if state is State.CURRENT:
        remote = workspace.remote is not None and action.digest in workspace.remote.fetched
        restored = f"restored from the {'remote' if remote else 'store'}"
        print(f"= {artifact}  {'unchanged, cut off' if was else restored}", file=sys.stderr)
    return state


def main() -> None:
    """Resolve the artifact named on the command line."""
    try:
        with disk_full_is_named():
            resolve(Workspace.here(), sys.argv[1])
    except GraphError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
