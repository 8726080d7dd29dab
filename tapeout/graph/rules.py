"""Read Snakemake's rules: recipes of artifacts, and their cost hints.

A rule is written once, as an ordinary Snakemake rule; inputs, parameters, environment and script are read from it.
"""

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.io import get_flag_value, is_flagged
from snakemake.iocontainers import InputFiles, Wildcards

from tapeout.errors import did_you_mean
from tapeout.graph.errors import InvalidRule, UnknownName
from tapeout.graph.identity.action import ORDERING_PREFIX, Inputs, Recipe, Reference
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.environment import Environment, read_environment
from tapeout.graph.paths import check_artifact
from tapeout.graph.plan.forecast import COSTS, JOBS, TEXT_COSTS
from tapeout.graph.workspace import Workspace

ARTIFACT, SEALED = "tapeout_artifact", "tapeout_sealed"
"""Flags of inputs and outputs that are artifacts."""
RUNNER = "-m tapeout.graph.run.runner"
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")
CostTable = Callable[[str, Mapping[str, str]], Mapping[str, int | str | None]]


def build_command(script: str) -> str:
    """Return the shell command of a rule: the runner, which replaces the shell, with ``script``.

    A shell would exit as soon as a whole job is asked to stop, and end the job before the program has saved a
    checkpoint.
    """
    return f"exec {PYTHON} {RUNNER} {script} {{output:q}} {{threads}} {{log:q}}"


class RuleReader:
    """Reader of the rules of a workflow.

    Args:
        workflow: Snakemake's object of this name.
        costs: cost hints by rule name and wildcards, which override resources of the same name in a rule.

    Attributes:
        environments: environments of the recipes that were read, by name.
        containers: containers of the recipes that were read, by image.
        pythons: Python of each image that rules may name.
        canonical: returns the artifact that a name stands for, which differs in a sweep (``tapeout.graph.variants``).
    """

    def __init__(self, workflow: Any, costs: CostTable) -> None:
        self.workflow, self.costs = workflow, costs
        self.workspace = Workspace.here()
        self.root = Path(workflow.basedir)
        self.environments: dict[str, Environment] = {}
        self.containers: dict[str, Container] = {}
        self.pythons: dict[str, str] = {}
        self.code: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
        self.canonical: Callable[[str], str] = lambda artifact: artifact
        self._sealed: list[Any] = []
        self._rules_seen = 0
        self._read: dict[str, list[str]] = {}

    @cached_property
    def on_cluster(self) -> bool:
        """True if jobs are submitted to a cluster, or would be if this were no dry run."""
        plugin = self.workflow.executor_plugin
        if plugin is None or self.workflow.global_resources.get(JOBS).value is None:
            return False
        if not self.workflow.dryrun:
            return not plugin.common_settings.local_exec
        from tapeout.slurm.sbatch_preview import executor_settings  # takes a moment

        return executor_settings() is not None

    # -- recipes ---------------------------------------------------------------------------------------------------

    def recipe(self, name: str) -> Recipe:
        """Return the recipe of an artifact.

        Raises:
            UnknownName: no rule makes it.
            InvalidRule: its rule does not determine a step, or its script does not exist.
        """
        check_artifact(name)
        rule, wildcards = self.producer(name)
        script = (rule.shellcmd or "").partition(RUNNER)[2].partition("{")[0].strip()
        if rule.shellcmd != build_command(script):
            raise InvalidRule(
                f"The shell command of rule {rule.name} is more than build(...).", "Move the rest into the script."
            )
        if not (self.root / script).is_file():
            raise InvalidRule(
                f"Rule {rule.name} names {script}, which does not exist.", "Write it, or change the rule."
            )
        environment = self._read_environment(rule, wildcards)
        params = self._read_params(rule, wildcards)
        plugins = tuple(params.pop("plugins", ()))
        fetches = bool(params.pop("fetches", False))
        return Recipe(
            artifact=name,
            rule=rule.name,
            script=script,
            code=self._read_code(script, plugins),
            environment=environment.name,
            environment_digest=environment.digest,
            params=params,
            plugins=plugins,
            fetches=fetches,
            inputs=self._read_inputs(rule, wildcards),
            resources=self.resources(rule, wildcards),
            wildcards=tuple(str(value) for value in wildcards),
            image=environment.image if isinstance(environment, Container) else "",
            python=environment.python if isinstance(environment, Container) else "",
        )

    def recipes(self, targets: list[str]) -> dict[str, Recipe]:
        """Return the recipes of the targets and of everything upstream."""
        recipes: dict[str, Recipe] = {}
        queue = list(targets)
        while queue:
            name = queue.pop()
            if name not in recipes:
                recipes[name] = self.recipe(name)
                queue.extend(recipes[name].dependencies())
        return recipes

    def lineage(self, name: str) -> dict[str, list[str]]:
        """Return for each input of an artifact which other inputs of it it is built from, over any steps between.

        Only inputs are read, so a parameter of the artifact's own rule may be its lineage.
        """
        inputs = set(self._origins(name))

        def nearest(artifact: str) -> set[str]:
            direct = self._origins(artifact)
            between = [nearest(one) for one in direct if one not in inputs]
            return {one for one in direct if one in inputs}.union(*between)

        return {artifact: sorted(nearest(artifact)) for artifact in sorted(inputs)}

    def _origins(self, name: str) -> list[str]:
        """Return the artifacts that a step reads, without those that only have to exist first."""
        if name not in self._read:
            inputs = self._read_inputs(*self.producer(name))
            read = {key: value for key, value in inputs.items() if not key.startswith(ORDERING_PREFIX)}
            listed = [value if isinstance(value, list) else [value] for value in read.values()]
            self._read[name] = sorted({reference.artifact for references in listed for reference in references})
        return self._read[name]

    def makes(self, name: str) -> bool:
        """Return whether a rule makes an artifact."""
        path = str(self.workspace.sealed_path(name))
        return any(rule.output[0].match(path) is not None for rule in self.sealed_rules)

    @property
    def sealed_rules(self) -> list[Any]:
        """Rules that make artifacts; they are looked up often, and a sweep has hundreds."""
        rules = list(self.workflow.rules)
        if len(rules) != self._rules_seen:  # Snakemake is still reading rules
            self._sealed = [rule for rule in rules if rule.output and is_flagged(rule.output[0], SEALED)]
            self._rules_seen = len(rules)
        return self._sealed

    def producer(self, name: str) -> tuple[Any, Wildcards]:
        """Return the rule that makes an artifact, and its wildcards.

        Raises:
            UnknownName: no rule makes it.
            InvalidRule: several rules make it.
        """
        path = str(self.workspace.sealed_path(name))
        rules = self.sealed_rules
        matches = [(rule, match) for rule in rules if (match := rule.output[0].match(path)) is not None]
        if not matches:
            known = [str(get_flag_value(rule.output[0], SEALED)) for rule in rules]
            hint = did_you_mean(name, known)
            raise UnknownName(f"No rule makes the artifact {name}{hint}", "Correct the name, or add a rule for it.")
        if len(matches) > 1:
            names = " and ".join(rule.name for rule, _ in matches)
            raise InvalidRule(f"Rules {names} both make {name}.", "Constrain the wildcards of one of them.")
        rule, match = matches[0]
        return rule, Wildcards(fromdict=match.groupdict())

    def environment(self, recipe: Recipe) -> Environment | Container:
        """Return the environment or container of a recipe that was read."""
        return self.containers[recipe.image] if recipe.image else self.environments[recipe.environment]

    def _read_code(self, script: str, plugins: tuple[str, ...]) -> dict[str, str]:
        if (script, plugins) not in self.code:
            self.code[script, plugins] = closure(self.root / script, self.root, plugins)
        return self.code[script, plugins]

    def _read_environment(self, rule: Any, wildcards: Wildcards) -> Environment | Container:
        if rule.container_img:
            image = str(rule.container_img)
            if image not in self.pythons:
                raise InvalidRule(
                    f"Rule {rule.name} names its container without container(...), so that its Python is unknown.",
                    "Use the value of container(IMAGE, PYTHON).",
                )
            self.containers[image] = Container.of(image, self.pythons[image], rule.name)
            return self.containers[image]
        file = rule.conda_env(wildcards) if callable(rule.conda_env) else rule.conda_env
        name = Path(str(file)).stem
        if name not in self.environments:
            self.environments[name] = read_environment(name, self.root)
        return self.environments[name]

    def _read_params(self, rule: Any, wildcards: Wildcards) -> dict[str, Any]:
        params = {}
        for name, value in rule.params.items():
            try:  # as a recorded action has it: a tuple is a list
                params[name] = json.loads(canonical(value(wildcards) if callable(value) else value))
            except (TypeError, ValueError) as error:
                raise InvalidRule(
                    f"Parameter {name} of rule {rule.name} is not JSON: {error}.", "Use a JSON value."
                ) from error
        if len(params) != len(rule.params):
            raise InvalidRule(f"Rule {rule.name} has a parameter without a name.", "Name it.")
        return params

    def _read_inputs(self, rule: Any, wildcards: Wildcards) -> Inputs:
        inputs: Inputs = {}
        named = sum(1 if isinstance(value, str) or callable(value) else len(value) for _, value in rule.input.items())
        if len(rule.input) != named + 1:
            raise InvalidRule(
                f"Rule {rule.name} has an input without a name in addition to action(...).",
                "Name it: scripts get their inputs by name.",
            )
        for name, value in rule.input.items():
            if callable(value):
                value = value(wildcards)
            items = (
                [value] if isinstance(value, str) else [item(wildcards) if callable(item) else item for item in value]
            )
            if not all(is_flagged(item, ARTIFACT) for item in items):
                raise InvalidRule(f"Input {name} of rule {rule.name} is not an artifact.", "Use artifact(...).")
            references = [_reference(item, wildcards) for item in items]
            inputs[name] = references[0] if isinstance(value, str) else references
        return inputs

    def resources(self, rule: Any, wildcards: Wildcards) -> dict[str, int | str | None]:
        """Return a rule's threads and cost hints.

        Inputs are marks, so that a resource that is a function of the inputs gets none.

        Raises:
            InvalidRule: a cost hint is not a whole number.
        """
        resources: dict[str, int | str | None] = {"threads": None}
        known = {"rulename": rule.name, "async_run": self.workflow.async_run, "input": InputFiles(), "attempt": 1}
        hints = self.costs(rule.name, dict(wildcards.items()))
        for name in ("_cores", *(name for name in COSTS if name in rule.resources or name in hints)):
            if name in hints:
                value = hints[name]
            else:
                value = rule.resources[name].evaluate(wildcards, **known, threads=resources["threads"]).value
            if name not in TEXT_COSTS and not isinstance(value, int | None):
                raise InvalidRule(f"Resource {name} of rule {rule.name} is {value!r}.", "Use a whole number.")
            resources[name.replace("_cores", "threads")] = value
        if resources.get("device") == "cpu" and not self.on_cluster:
            return {name: value for name, value in resources.items() if name not in ("gres", "nodes")}
        return resources


def _reference(item: Any, wildcards: Wildcards) -> Reference:
    name, path = item.flags[ARTIFACT]
    values = dict(wildcards.items())
    return Reference(name.format(**values), path.format(**values))
