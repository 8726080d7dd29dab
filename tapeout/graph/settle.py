"""Deciding, before Snakemake builds its graph: what is current, what the store restores, what must be built.

Happens once, in the main process. Artifacts are looked at in dependency order; as soon as one must be built, those
behind it wait: their actions are resolved within the run, when the bytes of their inputs are known.
"""

from dataclasses import dataclass

from tapeout.graph.action import Action, Recipe
from tapeout.graph.errors import AmbiguousRule, UnknownArtifact
from tapeout.graph.manifest import Manifest
from tapeout.graph.workspace import State, Workspace


@dataclass(frozen=True)
class Decision:
    """What is to be done for one artifact."""

    recipe: Recipe
    state: State
    action: Action | None
    waits_for: tuple[str, ...] = ()


def in_order(recipes: dict[str, Recipe], targets: list[str]) -> list[str]:
    """The targets and everything that they need, each after what it needs, in a stable order.

    Raises:
        UnknownArtifact: something is needed that no recipe makes, or recipes go in a circle.
        AmbiguousRule: an artifact lies inside another.
    """
    order: list[str] = []
    seen: dict[str, bool] = {}

    def visit(name: str, asked_by: str) -> None:
        if name not in recipes:
            raise UnknownArtifact(
                f"Artifact {name}, an input of {asked_by}, is made by no rule.", "Correct the name, or add a rule."
            )
        if name in seen:
            if not seen[name]:
                raise UnknownArtifact(f"Artifact {name} needs itself.", "Break the circle in the rules.")
            return
        seen[name] = False
        for needed in recipes[name].needs():
            visit(needed, name)
        seen[name] = True
        order.append(name)

    for target in sorted(targets):
        visit(target, "the run")
    for name in order:
        inside = [other for other in order if other.startswith(f"{name}/")]
        if inside:
            raise AmbiguousRule(f"Artifact {inside[0]} lies inside artifact {name}.", "Give one of them another name.")
    return order


def decide(workspace: Workspace, recipes: dict[str, Recipe], order: list[str], restore: bool) -> list[Decision]:
    """Decide for each artifact in ``order``.

    Args:
        workspace: where things lie.
        recipes: by artifact name.
        order: from ``in_order``.
        restore: bring what the store has into ``results/``; a dry run does not, and plans as if it had.
    """
    manifests: dict[str, Manifest] = {}
    decisions = []
    for name in order:
        recipe = recipes[name]
        missing = tuple(needed for needed in recipe.needs() if needed not in manifests)
        if missing:
            decisions.append(Decision(recipe, State.WAITING, None, missing))
            continue
        action = recipe.action(manifests.__getitem__)
        state, manifest = workspace.find(action)
        if restore and state is State.RESTORE and workspace.realise(action) is State.BUILD:
            state, manifest = State.BUILD, None
        if manifest is not None:
            manifests[name] = manifest
        decisions.append(Decision(recipe, state, action))
    return decisions


def mark(workspace: Workspace, decisions: list[Decision]) -> None:
    """Tell Snakemake what was decided."""
    for decision in decisions:
        state = State.CURRENT if decision.state is State.RESTORE else decision.state
        workspace.mark(decision.recipe.artifact, state, decision.action)
