"""Decisions before Snakemake builds its graph: which artifacts are current, restored from the store, or to be built.

They are made once, in the main process, in dependency order. Artifacts downstream of one that must be built wait: their
actions are resolved within the run, when the digests of their inputs are known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tapeout.graph.errors import InvalidRule, UnknownName
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import State, Workspace


@dataclass(frozen=True)
class Decision:
    """Decision for one artifact.

    Attributes:
        recipe: how it is made.
        state: what is to be done.
        action: its action; None while inputs are missing.
        waits_for: inputs that have no manifest yet.
        download: bytes that the remote store has to send; None if the remote is not needed or lacks the artifact.
    """

    recipe: Recipe
    state: State
    action: Action | None
    waits_for: tuple[str, ...] = ()
    download: int | None = None


def in_order(recipes: dict[str, Recipe], targets: list[str]) -> list[str]:
    """Return the targets and everything upstream of them in a stable topological order.

    Raises:
        UnknownName: no recipe makes an input.
        InvalidRule: recipes depend on each other in a cycle, or an artifact lies inside another.
    """
    order: list[str] = []
    finished: dict[str, bool] = {}

    def visit(name: str, dependent: str) -> None:
        if name not in recipes:
            raise UnknownName(
                f"Artifact {name}, an input of {dependent}, is made by no rule.", "Correct the name, or add a rule."
            )
        if name in finished:
            if not finished[name]:
                raise InvalidRule(f"Artifact {name} depends on itself.", "Remove the cycle from the rules.")
            return
        finished[name] = False
        for needed in recipes[name].dependencies():
            visit(needed, name)
        finished[name] = True
        order.append(name)

    for target in sorted(targets):
        visit(target, "the run")
    for name in order:
        enclosing = [str(folder) for folder in PurePosixPath(name).parents if str(folder) in finished]
        if enclosing:
            raise InvalidRule(f"Artifact {name} lies inside artifact {enclosing[0]}.", "Rename one of them.")
    return order


MAX_GROUPS = 16
"""Artifacts of one rule with more different sets of inputs than this are resolved together.

After each checkpoint Snakemake builds its graph again; for thousands of shards that costs more than some of them lose
by waiting for the others."""


def batches(decisions: list[Decision], merge: bool = True) -> dict[str, list[str]]:
    """Group the artifacts that are not current into batches, each of which one checkpoint resolves.

    A batch consists of artifacts of one rule with the same inputs, or, if there are many such groups, of all artifacts
    of a rule at the same depth of the graph, none of which can wait for another. Artifacts that are certain to be built
    belong to batches too, whose checkpoint is done already: Snakemake may skip a job downstream of a forced one unless
    a checkpoint is between them.

    Args:
        decisions: decisions in dependency order.
        merge: whether artifacts may wait for inputs of others. They must not where a part of the graph is left out
            (``--until``, ``--omit-from``) or may fail (``--keep-going``).

    Returns:
        The sorted members of each batch, by its head, the first of them.
    """
    depth: dict[str, int] = {}
    by_rule: dict[tuple[str, int], dict[tuple[str, ...], list[str]]] = {}
    for decision in decisions:
        recipe = decision.recipe
        if decision.state in (State.BUILD, State.WAITING):
            depth[recipe.artifact] = 1 + max((depth.get(needed, 0) for needed in decision.waits_for), default=-1)
            by_inputs = by_rule.setdefault((recipe.base_rule, depth[recipe.artifact]), {})
            by_inputs.setdefault(tuple(recipe.dependencies()), []).append(recipe.artifact)
    result = []
    for by_inputs in by_rule.values():
        groups = list(by_inputs.values())
        result += groups if len(groups) <= MAX_GROUPS or not merge else [[name for group in groups for name in group]]
    return {min(group): sorted(group) for group in result}


def decide(workspace: Workspace, recipes: dict[str, Recipe], order: list[str], restore: bool) -> list[Decision]:
    """Decide for each artifact in ``order``.

    Args:
        workspace: folders of the run.
        recipes: recipes by artifact name.
        order: artifacts from ``in_order``.
        restore: restore artifacts of the store into ``results/``; a dry run does not, but plans as if it had.
    """
    manifests: dict[str, Manifest] = {}
    decided: dict[str, Decision] = {}
    needs = {name: recipes[name].dependencies() for name in order}
    if workspace.remote is not None:
        workspace.remote.forget_failures()
    while ready := [n for n in order if n not in decided and all(needed in manifests for needed in needs[n])]:
        # in batches, because each query of a remote store takes time
        actions = [recipes[name].action(manifests.__getitem__) for name in ready]
        for decision, manifest in _decide_batch(workspace, [recipes[name] for name in ready], actions, restore):
            decided[decision.recipe.artifact] = decision
            if manifest is not None:
                manifests[decision.recipe.artifact] = manifest
    if restore and workspace.remote is not None:
        workspace.remote.push_queued()
    workspace.report_ignored()
    for name in order:
        missing = tuple(needed for needed in needs[name] if needed not in manifests)
        decided.setdefault(name, Decision(recipes[name], State.WAITING, None, missing))
    return [decided[name] for name in order]


def _decide_batch(
    workspace: Workspace, recipes: list[Recipe], actions: list[Action], restore: bool
) -> Iterator[tuple[Decision, Manifest | None]]:
    """Decide for artifacts whose inputs are known; yield with each decision its manifest if that is known already."""
    local = [workspace.state(action) for action in actions]
    remote: dict[str, Manifest] = {}
    sizes: dict[str, int] = {}
    if workspace.remote is not None:
        missing = [action for action, (state, _) in zip(actions, local, strict=True) if state is State.BUILD]
        remote = workspace.remote.find(missing)
        sizes = {digest: workspace.remote.missing_bytes(manifest) for digest, manifest in remote.items()}
        if restore and remote:
            remote = {digest: remote[digest] for digest in workspace.remote.fetch(remote)}
    for recipe, action, (state, manifest) in zip(recipes, actions, local, strict=True):
        download = sizes[action.digest] if action.digest in remote else None
        if action.digest in remote:
            state, manifest = State.RESTORE, remote[action.digest]
        if restore and state is State.RESTORE and workspace.restore(action) is State.BUILD:
            state, manifest, download = State.BUILD, None, None
        yield Decision(recipe, state, action, download=download), manifest


def expose(decisions: list[Decision], forced: Iterable[str]) -> list[Decision]:
    """Return decisions in which everything between a forced step and one that is to run waits for its inputs.

    Snakemake does not look at a job downstream of one that runs, unless each step on the way depends on a checkpoint:
    it would skip the job, and end with success.

    Args:
        decisions: decisions in dependency order.
        forced: artifacts that are built again although they are current.
    """
    forced = set(forced)
    runs = forced | {d.recipe.artifact for d in decisions if d.state in (State.BUILD, State.WAITING)}
    affected: dict[str, tuple[str, ...]] = {}
    for decision in decisions:
        needs = decision.recipe.dependencies()
        if upstream := tuple(name for name in needs if name in forced or name in affected):
            affected[decision.recipe.artifact] = upstream
    needed = set(runs)
    for decision in reversed(decisions):
        if decision.recipe.artifact in needed:
            needed |= set(decision.recipe.dependencies())

    def exposed(decision: Decision) -> Decision:
        upstream = affected.get(decision.recipe.artifact, ())
        if not upstream or decision.recipe.artifact not in needed:
            return decision
        waits_for = tuple(dict.fromkeys([*decision.waits_for, *upstream]))
        state = decision.state if decision.state is State.BUILD else State.WAITING
        return replace(decision, state=state, waits_for=waits_for)

    return [exposed(decision) for decision in decisions]


def mark(workspace: Workspace, decisions: list[Decision], heads: dict[str, list[str]]) -> None:
    """Set Snakemake's marks according to the decisions and to the batches, of which some are resolved by the run."""
    waiting = {decision.recipe.artifact for decision in decisions if decision.state is State.WAITING}
    for decision in decisions:
        state = State.CURRENT if decision.state is State.RESTORE else decision.state
        workspace.mark(decision.recipe.artifact, state, decision.action)
    for head in heads:
        workspace.mark_family(head, resolved=head not in waiting)
