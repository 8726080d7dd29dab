"""All that a report was made from: every action behind it, and the manifest of what each made."""

from dataclasses import dataclass
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.named_runs import read_run
from tapeout.graph.plan.decide import decide, in_order
from tapeout.graph.workspace import State, Workspace


class NotReproducible(TapeoutError):
    """What is to be exported is not what the code and the configuration in the folder make."""


@dataclass(frozen=True)
class Closure:
    """The target and everything behind it, in dependency order, by artifact name.

    ``folders`` says where the files of an artifact lie under their names; those of others are in the store.
    """

    target: str
    actions: dict[str, Action]
    manifests: dict[str, Manifest]
    folders: dict[str, Path]
    workspace: Workspace

    def file(self, manifest: Manifest, entry: Entry) -> Path:
        """Where a file of an artifact lies."""
        folder = self.folders.get(manifest.artifact)
        if folder is None:
            return self.workspace.store.object_path(entry)
        return folder / entry.path if entry.path else folder


def closure(workspace: Workspace, recipes: dict[str, Recipe], target: str, run: str | None) -> Closure:
    """Follow the target's action through its inputs to the sources.

    The actions are those that the code in the folder stands for today, and each must have been carried out; so what
    is exported is what this code, this configuration and these sources make, or it is not exported.

    Args:
        workspace: results, store and named runs.
        recipes: of the target and of all that it needs.
        target: name of an artifact.
        run: a named run whose target is to be exported; None means what lies in ``results/``.

    Raises:
        NotReproducible: an action was never carried out, or it made another target than the one that lies there.
        UnknownName: there is no run of that name.
    """
    named = read_run(workspace, run).artifacts.get(target) if run is not None else None
    order = in_order(recipes, [target])
    decisions = {found.recipe.artifact: found for found in decide(workspace, recipes, order, restore=False)}
    actions, manifests, folders = {}, {}, {}
    for name in order:
        action = decisions[name].action
        state, manifest = workspace.state(action) if action is not None else (State.WAITING, None)
        if action is None or manifest is None or workspace.store.find(action.digest) is None:
            raise _refused(target, run, f"{name} was not made by the code, parameters and inputs of today", name)
        actions[name], manifests[name] = action, manifest
        if state is State.CURRENT:
            folders[name] = workspace.artifact_path(name)
    if run is None and target not in folders:
        raise _refused(target, run, "what lies in results/ is another one, or was edited", target)
    if run is not None and named != actions[target].digest:
        raise _refused(target, run, "it was made by another action than today's", target)
    return Closure(target, actions, manifests, folders, workspace)


def _refused(target: str, run: str | None, reason: str, artifact: str) -> NotReproducible:
    what = f"{target} of run {run}" if run is not None else target
    return NotReproducible(
        f"{what} cannot be exported: {reason}.",
        f"tapeout why {artifact} says what differs. Export from the code and configuration that made it, or run "
        "Snakemake and export what it makes now.",
    )
