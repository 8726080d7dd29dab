"""The project as Snakemake reads it, without running anything."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.errors import TapeoutError
from tapeout.graph.identity.action import Recipe
from tapeout.graph.plan.decide import Decision, decide, in_order
from tapeout.graph.workspace import Workspace

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer


NAMED_ERROR = 3
"""Exit code of a named error."""


class NoProject(TapeoutError):
    """The current folder is not the project's, or its workflow cannot be read."""


@dataclass(frozen=True)
class Project:
    """Rules, recipes and decisions of the current folder.

    Attributes:
        layer: what read the rules.
        target: what is asked about, a rule or an artifact; None for the default target.
    """

    layer: "Layer"
    target: str | None = None

    @property
    def workspace(self) -> Workspace:
        """Results, store and work folder."""
        return self.layer.workspace

    @cached_property
    def targets(self) -> list[str]:
        """The artifacts that are asked about.

        Raises:
            NoProject: the target is a rule that makes many artifacts, of which the default target needs none.
        """
        if self.target is None:
            return self.layer.targets()
        named = self.layer.target_artifacts(self.target) or [self.target]
        if not any("{" in name for name in named):
            return named
        everything = self.layer.recipes(self.layer.targets())
        found = sorted(name for name, recipe in everything.items() if recipe.rule == self.target)
        if not found:
            raise NoProject(f"Rule {self.target} makes many artifacts.", f"Name one, in place of {named[0]}.")
        return found

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Recipes of the targets and of all that they need, by artifact."""
        return self.layer.recipes(self.targets)

    @cached_property
    def decisions(self) -> dict[str, Decision]:
        """What a run would do for each artifact, in dependency order; nothing is changed."""
        order = in_order(self.recipes, list(self.recipes))
        found = decide(self.workspace, self.recipes, order, restore=False)
        return {decision.recipe.artifact: decision for decision in found}

    def decision(self, artifact: str) -> Decision:
        """The decision for one artifact.

        Raises:
            NoProject: no rule makes an artifact of that name.
        """
        if artifact not in self.decisions:
            known = ", ".join(sorted(self.decisions))
            raise NoProject(f"There is no artifact {artifact}.", f"Name one of: {known}.")
        return self.decisions[artifact]

    @property
    def current_actions(self) -> dict[str, dict[str, Any]]:
        """Today's actions by artifact; those of steps that wait for others are known but for their inputs."""
        return {
            name: found.action.value if found.action is not None else found.recipe.describe({})
            for name, found in self.decisions.items()
        }


def load(config: list[Path], target: str | None = None) -> Project:
    """Read the workflow of the current folder.

    Args:
        config: files laid over the default configuration, as with ``--configfile``.
        target: a rule or an artifact; None for the default target.

    Raises:
        NoProject: there is no Snakefile, or Snakemake cannot read it.
    """
    # Snakemake takes most of a second to import: commands that do not read the workflow, and help, do without
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    for path in config:
        if not path.is_file():
            raise NoProject(f"There is no configuration file {path}.", "Correct --configfile.")
    snakefile = Path("Snakefile")
    if not snakefile.is_file():
        raise NoProject("There is no Snakefile in this folder.", "Go to the folder of the project.")
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, verbose=False)) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[path.absolute() for path in config]),
                snakefile=snakefile,
            )
            # parsing happens on first use; there is no public name for the parsed workflow in Snakemake 9.27
            layer: Layer = workflow._workflow.globals["layer"]
    except SystemExit:  # the layer has said what is wrong with the configuration or a rule
        raise SystemExit(NAMED_ERROR) from None
    except WorkflowError as error:
        raise NoProject(f"The workflow cannot be read: {error}", "Correct what it names.") from error
    return Project(layer, target)
