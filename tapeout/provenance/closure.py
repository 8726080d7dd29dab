"""Closure of a report: the actions upstream of it, and the manifests of their outputs."""

from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.named_runs import read_run
from tapeout.graph.plan.decide import decide, in_order
from tapeout.graph.workspace import State, Workspace
from tapeout.provenance.errors import ExportRefused
from tapeout.provenance.refuted import REFUTED, refutation

MAX_SHOWN = 8
"""Artifacts that a message names."""


@dataclass(frozen=True)
class Closure:
    """The target and everything upstream of it, in dependency order, by artifact name.

    ``folders`` has the artifacts that are in ``results/``; the files of the others are in the store.
    """

    target: str
    actions: dict[str, Action]
    manifests: dict[str, Manifest]
    folders: dict[str, Path]
    workspace: Workspace

    def file(self, manifest: Manifest, entry: Entry) -> Path:
        """Return the path of a file of an artifact."""
        folder = self.folders.get(manifest.artifact)
        if folder is None:
            return self.workspace.store.object_path(entry)
        return folder / entry.path if entry.path else folder


def closure(workspace: Workspace, recipes: dict[str, Recipe], target: str, run: str | None) -> Closure:
    """Follow the target's action through its inputs to the sources.

    The target is taken from the named run ``run``, or from ``results/`` if it is None.

    The actions are those of the current code and configuration, and the store must have the output of every one.
    This guarantees that the exported code, configuration and sources build the exported target.

    Raises:
        ExportRefused: an action was never carried out, or built another target than the one in ``results/`` or in
            the run, or an artifact is known to be not reproducible.
        UnknownName: there is no run of that name.
    """
    named = read_run(workspace, run).artifacts.get(target) if run is not None else None
    order = in_order(recipes, [target])
    decided = decide(workspace, recipes, order, restore=False)
    decisions = {decision.recipe.artifact: decision for decision in decided}
    actions, manifests, folders = {}, {}, {}
    for name in order:
        action = decisions[name].action
        state, manifest = workspace.state(action) if action is not None else (State.WAITING, None)
        if action is None or manifest is None or workspace.store.find(action.digest) is None:
            raise _refused(target, run, f"{name} was not built by the current code, parameters and inputs", name)
        if cause := refutation(workspace, manifest):
            raise ExportRefused(cause, REFUTED.format(name=name))
        actions[name], manifests[name] = action, manifest
        if state is State.CURRENT:
            folders[name] = workspace.artifact_path(name)
    if run is None and target not in folders:
        raise _refused(target, run, "the one in results/ was built by another action, or edited", target)
    if run is not None and named != actions[target].digest:
        raise _refused(target, run, "it was built by another action than the current one", target)
    return Closure(target, actions, manifests, folders, workspace)


def check_vouched(built: Closure) -> None:
    """Check that every artifact was built in this folder, or that a trusted key has signed it, before it is signed.

    The entry of a store is a claim of whoever may write the store, and so is its journal. ``work/built`` and the policy
    of trust are outside of every store.

    Raises:
        ExportRefused: only the store says that an action made an artifact.
    """
    trust = built.workspace.store.trust
    if trust is None or trust.keys:  # with keys, the store has returned only entries that they have signed
        return
    unknown = [name for name, manifest in built.manifests.items() if not trust.was_built(manifest)]
    if unknown:
        shown = ", ".join(unknown[:MAX_SHOWN]) + (", …" if len(unknown) > MAX_SHOWN else "")
        named = "" if len(unknown) > MAX_SHOWN else "".join(f" {name}" for name in unknown)  # all, by default
        raise ExportRefused(
            f"Only the store vouches for {len(unknown)} of the {len(built.manifests)} artifacts: they were not built "
            f"in this folder, and no trusted key has signed them: {shown}.",
            f"Build them a second time with: tapeout rebuild{named} --check. Or trust the key of whoever built them "
            "(tapeout trust add), or export with --unsigned.",
        )


def _refused(target: str, run: str | None, reason: str, artifact: str) -> ExportRefused:
    what = f"{target} of run {run}" if run is not None else target
    return ExportRefused(
        f"{what} cannot be exported: {reason}.",
        f"tapeout why {artifact} shows what differs. Export with the code and configuration that built it, or run "
        "Snakemake and export the new one.",
    )
