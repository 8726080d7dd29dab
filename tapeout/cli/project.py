"""The workflow of the current folder as Snakemake reads it, without running anything."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from tapeout.cli.checks import check_files, check_folders, check_programs, check_rules
from tapeout.cli.output import NAMED_ERROR
from tapeout.cli.start import NoProject
from tapeout.graph.address import RESULTS, Address, Kind, resolve
from tapeout.graph.configuration import Configuration
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.action import Recipe
from tapeout.graph.named_runs import read_run
from tapeout.graph.plan.decide import Decision, decide, in_order
from tapeout.graph.run.run_record import RunRecord
from tapeout.graph.workspace import Workspace

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer

RULE_ERRORS = (*(SyntaxError, TokenError, NameError, AttributeError, TypeError, LookupError, FileNotFoundError),)
"""Errors that reading a rule file with a mistake raises."""


SIGNAL = 128
"""Exit statuses above it are those of signals."""


@dataclass(frozen=True)
class Project:
    """Rules, recipes and decisions of the current folder.

    Attributes:
        layer: the content layer of the workflow.
        configuration: the configuration that the workflow was read with, and the reason for choosing it.
        target: a rule or an artifact; None for the default target.
    """

    layer: "Layer"
    configuration: "ChosenConfiguration"
    target: str | None = None

    @property
    def workspace(self) -> Workspace:
        """Results, store and work folder."""
        return self.layer.workspace

    @cached_property
    def targets(self) -> list[str]:
        """Artifacts that ``target`` refers to; it may be an artifact that the default target does not need.

        Raises:
            UnknownName: see ``Request.artifacts``.
        """
        request = self.layer.request
        with self._naming_configuration():
            return request.targets() if self.target is None else request.artifacts(self.target)

    @contextmanager
    def _naming_configuration(self) -> Iterator[None]:
        """Add the configuration to an error about an unknown name: another one may have an artifact of this name."""
        try:
            yield
        except UnknownName as error:
            raise UnknownName(error.cause, f"{error.fix} {self.configuration.line}.") from error

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

    @property
    def graph(self) -> list[str]:
        """Artifacts of the default target, and those that the last run with this configuration requested."""
        record = RunRecord.read(self.workspace)
        known = record.configuration if record is not None else None
        if record is None or self.configuration.read is None or not self.configuration.read.is_read_like(known):
            return sorted(self.recipes)
        requested = [name for name in record.targets if self.layer.makes(name)]
        return sorted(self.recipes | self.layer.recipes(requested))

    @cached_property
    def decisions(self) -> dict[str, Decision]:
        """Decision for each artifact, in dependency order. Nothing is changed."""
        order = in_order(self.recipes, list(self.recipes))
        decisions = decide(self.workspace, self.recipes, order, restore=False)
        return {decision.recipe.artifact: decision for decision in decisions}

    def resolve(self, name: str) -> Address:
        """Resolve the name of an artifact in the workflow, or of a rule, which stands for all its artifacts.

        What the targets do not need, such as the artifact of a variant, is added to ``recipes``.

        Raises:
            UnknownName: it is neither.
        """
        plain = self.layer.canonical(name.rstrip("/").removeprefix(f"{RESULTS}/"))
        if plain not in self.recipes and not set("{}") & set(plain) and self.layer.makes(plain):
            self.recipes.update(self.layer.recipes([plain]))
        elif plain not in self.rules and plain in {rule.name for rule in self.layer.sealed_rules}:
            self.recipes.update(self.layer.recipes(self.layer.request.artifacts(plain)))
        rules = self.rules
        with self._naming_configuration():
            address = resolve(self.workspace, plain if plain in self.recipes else name, rules)
        if address.kind not in (Kind.ARTIFACT, Kind.RULE):
            raise UnknownName(f"{name} is {address.kind.phrase}, not an artifact or a rule.", "See: tapeout status")
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


@dataclass(frozen=True)
class ChosenConfiguration:
    """Configuration that a command uses.

    Attributes:
        files: files that are merged over the defaults, as ``--configfile`` does.
        overrides: values that are merged over the files, as ``--config`` does.
        replaces: whether both replace the defaults.
        reason: why this configuration was chosen; the end of a sentence.
        read: the configuration that Snakemake read, now or in the last run; None if it read none.
    """

    files: tuple[Path, ...] = ()
    overrides: dict[str, Any] = field(default_factory=dict)
    replaces: bool = False
    reason: str = "the default"
    read: Configuration | None = None

    @property
    def name(self) -> str:
        """Name shown to users; empty for a default configuration that was not read."""
        return str(self.read) if self.read is not None else " + ".join(map(str, self.files))

    @property
    def line(self) -> str:
        """Return the line that names the configuration."""
        return f"Configuration: {self.name} ({self.reason})" if self.name else f"Configuration: {self.reason}"

    @property
    def arguments(self) -> list[str]:
        """Return the arguments with which Snakemake reads it."""
        return self.read.arguments() if self.read is not None else []

    def as_json(self) -> dict[str, Any]:
        """Return JSON values that name it."""
        return {"name": self.name, "files": [str(path) for path in self.files], "reason": self.reason}


def choose(given: Sequence[Path] | None, run: str | None = None) -> ChosenConfiguration:
    """Return the configuration that a command uses: the given one, else that of a run in this folder.

    Args:
        given: files of ``--configfile``; None or empty without it.
        run: a named run; None for the latest run.

    Raises:
        NoProject: a file of that run does not exist any more.
        UnknownName: there is no such run.
    """
    if given:
        return ChosenConfiguration(tuple(given), reason="given")
    workspace = Workspace.here()
    record = read_run(workspace, run) if run else RunRecord.read(workspace)
    known = record.configuration if record is not None else None
    if known is None:
        return ChosenConfiguration()
    reason = f"of run {run}" if run else "of the last run"
    for name in known.given:
        if not Path(name).is_file():
            raise NoProject(
                f"The configuration {reason} was read from {name}, which no longer exists.",
                f"Restore it, or name a configuration: --configfile {' '.join(known.defaults) or 'FILE'}",
            )
    return ChosenConfiguration(tuple(map(Path, known.given)), known.overrides, known.replaces, reason, known)


def load(given: Sequence[Path] | None, target: str | None = None, run: str | None = None) -> Project:
    """Read the workflow of the current folder.

    Args:
        given: files of ``--configfile``; without, the configuration of the latest run is used, if there is one.
        target: a rule or an artifact; None for the default target.
        run: named run whose configuration is used instead of that of the latest run.

    Raises:
        NoProject: there is no Snakefile, or Snakemake cannot read it, or a file of the configuration does not exist.
        UnknownName: there is no such run.
        InvalidEnvironment: Snakemake needs a program that is not installed.
    """
    check_programs()
    # importing Snakemake takes most of a second; --help and commands that do not read the workflow do without it
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    snakefile = Path("Snakefile")
    if not snakefile.is_file():
        raise NoProject("There is no Snakefile in this folder.", "Change to the project's folder.")
    chosen = choose(given, run)
    check_files(chosen.files)
    check_folders()
    check_rules()
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, verbose=False)) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(
                    config=chosen.overrides,
                    configfiles=[path.absolute() for path in chosen.files],
                    replace_workflow_config=chosen.replaces,
                ),
                snakefile=snakefile,
            )
            # the workflow is parsed on first use; Snakemake 9.27 has no public name for the result
            layer: Layer = workflow._workflow.globals["layer"]
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > SIGNAL:
            raise
        # the layer has printed a named error about the configuration or a rule
        raise SystemExit(NAMED_ERROR) from None
    except (WorkflowError, *RULE_ERRORS) as error:
        fix = "Fix the problem that the message names; snakemake --dry-run names its line."
        raise NoProject(f"The workflow cannot be read: {error}", fix) from error
    return Project(layer, replace(chosen, read=Configuration.of(layer.workflow)), target)
