"""Deciding, before Snakemake builds its graph: what is current, what the store restores, what must be built.

Happens once, in the main process. Artifacts are looked at in dependency order; as soon as one must be built, those
behind it wait: their actions are resolved within the run, when the bytes of their inputs are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tapeout.graph.errors import InvalidRule, UnknownName
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import State, Workspace


@dataclass(frozen=True)
class Decision:
    """What is to be done for one artifact."""

    recipe: Recipe
    state: State
    action: Action | None
    waits_for: tuple[str, ...] = ()
    download: int | None = None
    """Bytes that the remote has to send for it; None if the remote is not needed, or does not have it."""


def in_order(recipes: dict[str, Recipe], targets: list[str]) -> list[str]:
    """The targets and everything that they need, each after what it needs, in a stable order.

    Raises:
        UnknownName: something is needed that no recipe makes, or recipes go in a circle.
        InvalidRule: an artifact lies inside another.
    """
    order: list[str] = []
    seen: dict[str, bool] = {}

    def visit(name: str, asked_by: str) -> None:
        if name not in recipes:
            raise UnknownName(
                f"Artifact {name}, an input of {asked_by}, is made by no rule.", "Correct the name, or add a rule."
            )
        if name in seen:
            if not seen[name]:
                raise InvalidRule(f"Artifact {name} depends on itself.", "Remove the cycle from the rules.")
            return
        seen[name] = False
        for needed in recipes[name].dependencies():
            visit(needed, name)
        seen[name] = True
        order.append(name)

    for target in sorted(targets):
        visit(target, "the run")
    for name in order:
        around = [str(folder) for folder in PurePosixPath(name).parents if str(folder) in seen]
        if around:
            raise InvalidRule(f"Artifact {name} lies inside artifact {around[0]}.", "Give one of them another name.")
    return order


FAMILY = 16
"""More artifacts than this that one rule makes from different inputs are resolved together: each checkpoint makes
Snakemake build its graph anew, which for thousands of shards costs more than what some of them lose by waiting."""


def families(decisions: list[Decision], many: bool = True) -> dict[str, list[str]]:
    """Artifacts that are not current, by the one that the checkpoint which resolves them together is named after.

    Those of one rule that wait for the same inputs; and those of one rule that lie equally deep in the graph (so that
    none of them can wait for another) if they are many. What is to be built for sure is resolved already and goes by a
    checkpoint that is done: Snakemake may pass over a job that is behind a forced one, unless a checkpoint is between.

    Args:
        decisions: in dependency order.
        many: whether artifacts may wait for inputs of others. Not where a part of the graph is left out (``--until``,
            ``--omit-from``) or may fail (``--keep-going``), because the rest must not wait for that part.
    """
    depth: dict[str, int] = {}
    by_inputs: dict[tuple[str, int], dict[tuple[str, ...], list[str]]] = {}
    for decision in decisions:
        recipe = decision.recipe
        if decision.state in (State.BUILD, State.WAITING):
            depth[recipe.artifact] = 1 + max((depth.get(needed, 0) for needed in decision.waits_for), default=-1)
            alike = by_inputs.setdefault((recipe.rule, depth[recipe.artifact]), {})
            alike.setdefault(tuple(recipe.dependencies()), []).append(recipe.artifact)
    found = []
    for alike in by_inputs.values():
        groups = list(alike.values())
        found += groups if len(groups) <= FAMILY or not many else [[name for group in groups for name in group]]
    return {min(group): sorted(group) for group in found}


def decide(workspace: Workspace, recipes: dict[str, Recipe], order: list[str], restore: bool) -> list[Decision]:
    """Decide for each artifact in ``order``.

    Args:
        workspace: where things lie.
        recipes: by artifact name.
        order: from ``in_order``.
        restore: bring what the store has into ``results/``; a dry run does not, and plans as if it had.
    """
    manifests: dict[str, Manifest] = {}
    decided: dict[str, Decision] = {}
    needs = {name: recipes[name].dependencies() for name in order}
    if workspace.remote is not None:
        workspace.remote.forget_failures()
    while ready := [n for n in order if n not in decided and all(needed in manifests for needed in needs[n])]:
        # side by side, because asking a remote takes its time
        actions = [recipes[name].action(manifests.__getitem__) for name in ready]
        for decision, manifest in _decide_together(workspace, [recipes[name] for name in ready], actions, restore):
            decided[decision.recipe.artifact] = decision
            if manifest is not None:
                manifests[decision.recipe.artifact] = manifest
    if restore and workspace.remote is not None:
        workspace.remote.push_queued()
    for name in order:
        missing = tuple(needed for needed in needs[name] if needed not in manifests)
        decided.setdefault(name, Decision(recipes[name], State.WAITING, None, missing))
    return [decided[name] for name in order]


def _decide_together(
    workspace: Workspace, recipes: list[Recipe], actions: list[Action], restore: bool
) -> Iterator[tuple[Decision, Manifest | None]]:
    """Decide for artifacts whose inputs are known; with each, its manifest as far as it is known already."""
    found = [workspace.state(action) for action in actions]
    there: dict[str, Manifest] = {}
    sizes: dict[str, int] = {}
    if workspace.remote is not None:
        there = workspace.remote.find([a for a, (state, _) in zip(actions, found, strict=True) if state is State.BUILD])
        sizes = {digest: workspace.remote.missing_bytes(manifest) for digest, manifest in there.items()}
        if restore and there:
            there = {digest: there[digest] for digest in workspace.remote.fetch(there)}
    for recipe, action, (state, manifest) in zip(recipes, actions, found, strict=True):
        download = sizes[action.digest] if action.digest in there else None
        if action.digest in there:
            state, manifest = State.RESTORE, there[action.digest]
        if restore and state is State.RESTORE and workspace.restore(action) is State.BUILD:
            state, manifest, download = State.BUILD, None, None
        yield Decision(recipe, state, action, download=download), manifest


def mark(workspace: Workspace, decisions: list[Decision], together: dict[str, list[str]]) -> None:
    """Tell Snakemake what was decided, and which families (``together``) the run has yet to resolve."""
    waiting = {decision.recipe.artifact for decision in decisions if decision.state is State.WAITING}
    for decision in decisions:
        state = State.CURRENT if decision.state is State.RESTORE else decision.state
        workspace.mark(decision.recipe.artifact, state, decision.action)
    for head in together:
        workspace.mark_family(head, resolved=head not in waiting)
