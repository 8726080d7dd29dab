"""Variants of a configuration in one graph: the rules of each, and which artifacts they share.

The rules are read once for each combination of choices, as a module of Snakemake. An artifact of a combination is named
``sweep/<combination>/<name>`` if each of its choices changes the step that makes it, or one upstream; otherwise it is
the artifact of a smaller combination, down to that of the configuration itself. The name of an artifact therefore
does not depend on what else a sweep contains, and removing a variant renames nothing of the others.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tapeout.combinations import combination_of, join, scoped, smaller, split, unscoped
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.action import ORDERING_PREFIX, Recipe
from tapeout.graph.layer import Layer


class Variants:
    """All combinations of choices that were read.

    Args:
        layer: the content layer.
        combinations: their names.
    """

    def __init__(self, layer: Layer, combinations: Iterable[str]) -> None:
        self.layer = layer
        self.combinations = {"", *combinations}
        layer.canonical = self.canonical
        self._shared: dict[tuple[str, str], str] = {}
        self._steps: dict[tuple[str, str], Recipe | None] = {}

    def rules(self, combination: str) -> "VariantRules":
        """Return the functions that the rules of a combination use in place of the layer's."""
        return VariantRules(self, combination)

    def artifact(self, combination: str, name: str, path: str = "") -> Any:
        """Return an input of a rule: the artifact that a combination uses as ``name``."""
        return self.layer.artifact(self.shared(combination, name), path)

    def shared(self, combination: str, name: str) -> str:
        """Return the artifact that a combination uses as ``name``: that of the smallest one with an equal step.

        Steps are equal if program, parameters and environment are, and if they read the same artifacts. Inputs that
        only have to exist first (``after_...``), such as the gates of all data, do not count.

        Raises:
            UnknownName: no rule of the combination makes it.
        """
        key = combination, name
        if key not in self._shared:
            step = self._step(combination, name)
            if step is None:
                raise UnknownName(f"With {combination} no rule makes {name}.", "Correct the name.")
            equal = (other for other in smaller(combination) if other in self.combinations)
            owner = next((other for other in equal if self._step(other, name) == step), combination)
            self._shared[key] = scoped(owner, name)
        return self._shared[key]

    def canonical(self, artifact: str) -> str:
        """Return the name of the artifact that the name of a variant's artifact stands for, which may be shared."""
        combination = join(split(combination_of(artifact)))
        known = combination in self.combinations and self.layer.makes(scoped(combination, unscoped(artifact)))
        return self.shared(combination, unscoped(artifact)) if combination and known else artifact

    def _step(self, combination: str, name: str) -> Recipe | None:
        """Return a recipe without what two combinations may differ in; None if no rule makes the artifact."""
        key = combination, name
        if key not in self._steps:
            known = self.layer.makes(scoped(combination, name))
            recipe = self.layer.recipe(scoped(combination, name)) if known else None
            self._steps[key] = (
                None
                if recipe is None
                else replace(
                    recipe,
                    artifact=name,
                    rule=recipe.base_rule,
                    resources={},
                    wildcards=(),
                    inputs={key: value for key, value in recipe.inputs.items() if not key.startswith(ORDERING_PREFIX)},
                )
            )
        return self._steps[key]


class VariantRules:
    """Functions of the layer for the rules of one combination (``Variants.rules``).

    Args:
        variants: all combinations.
        combination: the name of this one.
    """

    def __init__(self, variants: Variants, combination: str) -> None:
        self.variants, self.combination, self.layer = variants, combination, variants.layer
        self.root, self.parameters, self.build = self.layer.root, self.layer.parameters, self.layer.build
        self.container = self.layer.container
        self.complete = False

    def action(self, name: str) -> Callable[[Any], str]:
        """Return the first input of a rule; see ``Layer.action``."""
        return self.layer.action(scoped(self.combination, name))

    def sealed(self, name: str) -> Any:
        """Return the output of a rule; see ``Layer.sealed``."""
        return self.layer.sealed(scoped(self.combination, name))

    def artifact(self, name: str, path: str = "") -> Any:
        """Return an input of a rule; see ``Layer.artifact``.

        While rules are being read it is a function, because only when all combinations are known is it known whether
        the artifact is shared.
        """
        if self.complete:
            return self.variants.artifact(self.combination, name, path)

        def found(wildcards: Any) -> Any:
            values = dict(wildcards.items())
            return self.artifact(name.format(**values), path.format(**values))

        return found

    def lineage(self, name: str) -> dict[str, list[str]]:
        """Return the lineage of an artifact of the combination; see ``Layer.lineage``."""
        return self.layer.lineage(scoped(self.combination, name))

    def close(self) -> None:
        """State that the combination has all its rules, so that input functions return artifacts from now on."""
        self.complete = True
