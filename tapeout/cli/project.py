"""The workflow of the current folder as Snakemake reads it, without running anything."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.cli.output import NAMED_ERROR
from tapeout.cli.run_snakemake import check_configuration
from tapeout.cli.start import NoProject
from tapeout.graph.address import Address, Kind, resolve
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.action import Recipe
from tapeout.graph.plan.decide import Decision, decide, in_order
from tapeout.graph.workspace import Workspace

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer


@dataclass(frozen=True)
class Project:
    """Rules, recipes and decisions of the current folder.

    Attributes:
        layer: the content layer of the workflow.
        target: a rule or an artifact; None for the default target.
    """

    layer: "Layer"
    target: str | None = None

    @property
    def workspace(self) -> Workspace:
        """Results, store and work folder."""
        return self.layer.workspace

    @cached_property
    def targets(self) -> list[str]:
        """Artifacts that ``target`` refers to; it may be an artifact that the default target does not need.

        Raises:
            UnknownName: there is no such artifact or rule, or the target is a rule with wildcards and the default
                target needs none of its artifacts.
        """
        if self.target is None:
            return self.layer.targets()
        names = self.layer.target_artifacts(self.target)
        if not names:
            try:
                self.layer.recipe(self.target)
            except UnknownName:
                return list(Project(self.layer).resolve(self.target).artifacts)
            return [self.target]
        if not any("{" in name for name in names):
            return names
        of_rule = Project(self.layer).rules.get(self.target, [])
        if not of_rule:
            raise UnknownName(f"Rule {self.target} makes many artifacts.", f"Name one of them, for example {names[0]}.")
        return of_rule

    @property
    def rules(self) -> dict[str, list[str]]:
        """Sorted names of the artifacts in ``recipes``, by rule."""
        rules = defaultdict(list)
        for name in sorted(self.recipes):
            rules[self.recipes[name].rule].append(name)
        return rules

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Recipes of the targets and of all their dependencies, by artifact."""
        return self.layer.recipes(self.targets)

    @cached_property
    def decisions(self) -> dict[str, Decision]:
        """Decision for each artifact, in dependency order. Nothing is changed."""
        order = in_order(self.recipes, list(self.recipes))
        decisions = decide(self.workspace, self.recipes, order, restore=False)
        return {decision.recipe.artifact: decision for decision in decisions}

    def resolve(self, name: str) -> Address:
        """Resolve the name of an artifact in the workflow, or of a rule, which stands for all its artifacts.

        Raises:
            UnknownName: it is neither.
        """
        address = resolve(self.workspace, name, self.rules)
        if address.kind not in (Kind.ARTIFACT, Kind.RULE):
            raise UnknownName(f"{name} is a {address.kind}, not an artifact or a rule.", "See: tapeout status")
        if not set(address.artifacts) <= self.recipes.keys():
            raise UnknownName(f"No rule makes {name}, which is left over from another workflow.", "See: tapeout status")
        return address

    @property
    def current_actions(self) -> dict[str, dict[str, Any]]:
        """Current actions by artifact; an action that waits for others has no input digests yet."""
        return {
            name: decision.action.value if decision.action is not None else decision.recipe.describe({})
            for name, decision in self.decisions.items()
        }


def load(config: Sequence[Path] | None, target: str | None = None) -> Project:
    """Read the workflow of the current folder.

    Args:
        config: files that are merged over the default configuration, as Snakemake's ``--configfile`` does.
        target: a rule or an artifact; None for the default target.

    Raises:
        NoProject: there is no Snakefile, or Snakemake cannot read it.
    """
    # importing Snakemake takes most of a second; --help and commands that do not read the workflow do without it
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    check_configuration(config or (), ())
    snakefile = Path("Snakefile")
    if not snakefile.is_file():
        raise NoProject("There is no Snakefile in this folder.", "Change to the project's folder.")
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, verbose=False)) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[path.absolute() for path in config or ()]),
                snakefile=snakefile,
            )
            # the workflow is parsed on first use; Snakemake 9.27 has no public name for the result
            layer: Layer = workflow._workflow.globals["layer"]
    except SystemExit:  # the layer has printed a named error about the configuration or a rule
        raise SystemExit(NAMED_ERROR) from None
    except WorkflowError as error:
        raise NoProject(f"The workflow cannot be read: {error}", "Fix the problem that the message names.") from error
    return Project(layer, target)
