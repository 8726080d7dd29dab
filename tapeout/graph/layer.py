"""The content layer as Snakemake sees it: five words for rules, and one decision before the graph is built.

A rule is written once, as an ordinary Snakemake rule; this module reads inputs, parameters, environment and script from
it. Nothing is kept in a second table.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snakemake.io import ancient, flag, is_flagged
from snakemake.iocontainers import InputFiles, Wildcards
from snakemake.settings.enums import Quietness
from snakemake.settings.types import DeploymentMethod

from tapeout.errors import TapeoutError
from tapeout.graph import cluster
from tapeout.graph.announce import announce
from tapeout.graph.errors import InvalidCode, InvalidRule, RunInProgress, UnknownName
from tapeout.graph.files import report_disk_full
from tapeout.graph.identity.action import Inputs, Recipe, Reference
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.digest import DigestCache, canonical
from tapeout.graph.identity.environment import Environment, read_environment
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.plan.decide import Decision, decide, families, in_order, mark
from tapeout.graph.plan.forecast import CORES, COSTS, JOBS, LIMITS, WORDS, Forecast, forecast
from tapeout.graph.run.log_filter import listen
from tapeout.graph.workspace import PLAN, State, Workspace
from tapeout.slurm.client import SLURM

ARTIFACT, SEALED = "tapeout_artifact", "tapeout_sealed"
RUNNER = "-m tapeout.graph.run.runner"
CostTable = Callable[[str, Mapping[str, str]], Mapping[str, int | str | None]]
PYTHON = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")


@contextmanager
def named_errors() -> Iterator[None]:
    """Show a named error as one sentence of cause and one of fix, without Snakemake's or Python's inner workings."""
    try:
        with report_disk_full():
            yield
    except TapeoutError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


class Layer:
    """The content layer of one Snakemake process."""

    def __init__(
        self,
        workflow: Any,
        checkpoints: Any,
        launch: Mapping[str, Any] = MappingProxyType({}),
        variables: Mapping[str, str] = MappingProxyType({}),
        costs: CostTable = lambda rule, wildcards: {},
    ) -> None:
        """Create the content layer of this process.

        Args:
            workflow: Snakemake's object of this name.
            checkpoints: Snakemake's object of this name.
            launch: how this site starts programs, see ``Launch``.
            variables: environment variables of the processes that the run starts, here and in the cluster.
            costs: returns cost hints (``COSTS``) for a rule's name and the values of its wildcards, by name. They take
                precedence over resources of the same name in the rule.
        """
        self.costs = costs
        self.variables = variables
        self.workflow = workflow
        self.checkpoints = checkpoints
        self.launch = Launch(**launch)
        self.workspace = Workspace.here()
        self.root = Path(workflow.basedir)
        self.environments: dict[str, Environment] = {}
        self.containers: dict[str, Container] = {}
        self.pythons: dict[str, str] = {}
        self.code: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
        self.local = DigestCache(self.workspace.work / "local_digests.json")
        self.settled = False
        self.planned: set[str] = set()
        self.family: dict[str, str] = {}
        if workflow.is_main_process:
            self.chatter = listen(Quietness.parse_choice("progress") in workflow.output_settings.quiet)
        self.lock: int | None = None

    # -- words for rules -------------------------------------------------------------------------------------------

    def sealed(self, name: str) -> Any:
        """Output of a rule: the artifact ``name`` (a file or a folder below ``results/``)."""
        return flag(str(self.workspace.sealed_path(name)), SEALED, name)

    def artifact(self, name: str, path: str = "") -> Any:
        """Input of a rule: an artifact, or one file or folder in it."""
        return flag(ancient(str(self.workspace.sealed_path(name))), ARTIFACT, (name, path))

    def parameters(self, section: Any, **more: Any) -> dict[str, Callable[[Any], Any]]:
        """Parameters of a rule: a section of the configuration, by name, and what else there is.

        Each is a function, because Snakemake reads braces in a parameter's text (a prompt template's) as wildcards.
        """

        def constant(value: Any) -> Callable[[Any], Any]:
            return lambda wildcards: value

        return {name: constant(value) for name, value in {**section.identity(), **more}.items()}

    def container(self, image: str | None, python: str) -> str | None:
        """Container of a rule: the image that its program runs in, None for the environment of ``conda:`` alone.

        The runner stays outside, in the workflow's environment: nothing of this layer need be in the image.
        """
        if image is not None:
            self.pythons[image] = python
        return image

    def action(self, name: str) -> Callable[[Any], str]:
        """First input of every rule: the action to carry out; if it has yet to be resolved, through the checkpoint."""

        def resolved(wildcards: Any) -> str:
            concrete = name.format(**dict(wildcards.items()))
            self.settle()
            if self.workflow.is_main_process and concrete not in self.planned:
                # a way by which Snakemake came to a job and the layer did not: never run on marks of another run
                with named_errors():
                    raise InvalidRule(f"Artifact {concrete} was not planned.", "Ask for it by its rule's name.")
            if concrete in self.family:
                self.checkpoints.resolve.get(artifact=self.family[concrete])
            return str(self.workspace.action_path(concrete))

        return resolved

    def build(self, script: str) -> str:
        """Shell command of a rule: run ``script`` through the runner, which takes the place of the shell.

        A shell would end at once when a whole job is asked to stop, and the job with it, before the program has saved.
        """
        return f"exec {PYTHON} {RUNNER} {script} {{output:q}} {{threads}} {{log:q}}"

    def resolve(self) -> str:
        """Shell command of the checkpoint."""
        return f"{PYTHON} -m tapeout.graph.plan.resolve {{wildcards.artifact:q}}"

    def needs(self, wildcards: Any) -> list[str]:
        """Inputs of the checkpoint: the marks of everything that the artifact and its family are made from."""
        members = [name for name, head in self.family.items() if head == wildcards.artifact] or [wildcards.artifact]
        needed = {needed for member in members for needed in self.recipe(member).dependencies()}
        return [str(self.workspace.sealed_path(name)) for name in sorted(needed)]

    # -- reading rules ---------------------------------------------------------------------------------------------

    def recipe(self, name: str) -> Recipe:
        """Read the recipe of an artifact off the rule that makes it.

        Raises:
            UnknownName: no rule makes it.
            InvalidRule: a parameter is unnamed or is not JSON.
        """
        rule, wildcards = self.producer(name)
        script = (rule.shellcmd or "").partition(RUNNER)[2].partition("{")[0].strip()
        if rule.shellcmd != self.build(script):
            raise InvalidRule(
                f"The shell command of rule {rule.name} is more than build(...).", "Put the rest into the script."
            )
        if not (self.root / script).is_file():
            raise InvalidCode(
                f"Rule {rule.name} names {script}, which does not exist.", "Write it, or correct the rule."
            )
        environment = self._environment(rule, wildcards)
        params = self._params(rule, wildcards)
        plugins = tuple(params.pop("plugins", ()))
        return Recipe(
            artifact=name,
            rule=rule.name,
            script=script,
            code=self._code(script, plugins),
            environment=environment.name,
            environment_digest=environment.digest,
            params=params,
            plugins=plugins,
            inputs=self._inputs(rule, wildcards),
            resources=self.resources(rule, wildcards),
            wildcards=tuple(str(value) for value in wildcards),
            image=environment.image if isinstance(environment, Container) else "",
            python=environment.python if isinstance(environment, Container) else "",
        )

    def _code(self, script: str, plugins: tuple[str, ...]) -> dict[str, str]:
        if (script, plugins) not in self.code:
            self.code[script, plugins] = closure(self.root / script, self.root, plugins)
        return self.code[script, plugins]

    def recipes(self, targets: list[str]) -> dict[str, Recipe]:
        """The recipes of the targets and of all that they need."""
        found: dict[str, Recipe] = {}
        waiting = list(targets)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.recipe(name)
                waiting.extend(found[name].dependencies())
        return found

    def producer(self, name: str) -> tuple[Any, Wildcards]:
        """The rule that makes an artifact, and its wildcards."""
        path = str(self.workspace.sealed_path(name))
        matches = [
            (rule, match) for rule in self._building_rules() if (match := rule.output[0].match(path)) is not None
        ]
        if not matches:
            raise UnknownName(f"No rule makes the artifact {name}.", "Correct the name, or add a rule for it.")
        if len(matches) > 1:
            names = " and ".join(rule.name for rule, _ in matches)
            raise InvalidRule(f"Rules {names} both make {name}.", "Constrain the wildcards of one of them.")
        rule, match = matches[0]
        return rule, Wildcards(fromdict=match.groupdict())

    def _building_rules(self) -> list[Any]:
        return [rule for rule in self.workflow.rules if rule.output and is_flagged(rule.output[0], SEALED)]

    def environment(self, recipe: Recipe) -> Environment | Container:
        """What a recipe's program runs in."""
        return self.containers[recipe.image] if recipe.image else self.environments[recipe.environment]

    def _environment(self, rule: Any, wildcards: Wildcards) -> Environment | Container:
        if rule.container_img:
            image = str(rule.container_img)
            if image not in self.pythons:
                raise InvalidRule(
                    f"Rule {rule.name} names its container without container(...), so that its Python is not known.",
                    "Give it the value of container(IMAGE, PYTHON).",
                )
            self.containers[image] = Container.of(image, self.pythons[image], rule.name)
            return self.containers[image]
        file = rule.conda_env(wildcards) if callable(rule.conda_env) else rule.conda_env
        name = Path(str(file)).stem
        if name not in self.environments:
            self.environments[name] = read_environment(name, self.root)
        return self.environments[name]

    def _params(self, rule: Any, wildcards: Wildcards) -> dict[str, Any]:
        params = {}
        for name, value in rule.params.items():
            params[name] = value(wildcards) if callable(value) else value
            try:
                canonical(params[name])
            except (TypeError, ValueError) as error:
                raise InvalidRule(
                    f"Parameter {name} of rule {rule.name} is not JSON: {error}.", "Give it a JSON value."
                ) from error
        if len(params) != len(rule.params):
            raise InvalidRule(f"Rule {rule.name} has a parameter without a name.", "Name it.")
        return params

    def _inputs(self, rule: Any, wildcards: Wildcards) -> Inputs:
        inputs: Inputs = {}
        named = sum(1 if isinstance(value, str) or callable(value) else len(value) for _, value in rule.input.items())
        if len(rule.input) != named + 1:
            raise InvalidRule(
                f"Rule {rule.name} has an input without a name beside action(...).", "Name it: scripts get it by name."
            )
        for name, value in rule.input.items():
            if callable(value):
                value = value(wildcards)
            items = [value] if isinstance(value, str) else value
            if not all(is_flagged(item, ARTIFACT) for item in items):
                raise InvalidRule(f"Input {name} of rule {rule.name} is no artifact.", "Write artifact(...).")
            references = [self._reference(item, wildcards) for item in items]
            inputs[name] = references[0] if isinstance(value, str) else references
        return inputs

    def _reference(self, item: Any, wildcards: Wildcards) -> Reference:
        name, path = item.flags[ARTIFACT]
        values = dict(wildcards.items())
        return Reference(name.format(**values), path.format(**values))

    # -- deciding --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Decide what runs, once, in the main process, when Snakemake begins to build its graph.

        A dry run (or ``--summary``, ``--rulegraph`` and the like) only writes Snakemake's marks; ``results/`` itself
        stays as it is, and the plan is the one that a real run would have.
        """
        if self.settled or not self.workflow.is_main_process:
            return
        self.settled = True
        executes = self.workflow.executor_plugin is not None
        real = executes and not self.workflow.dryrun and not self.workflow.touch
        with named_errors():
            self._settle(executes, real)

    def _settle(self, executes: bool, real: bool) -> None:
        deployment = self.workflow.deployment_settings
        if deployment is not None and DeploymentMethod.APPTAINER in deployment.deployment_method:
            raise InvalidRule(
                "Snakemake's own containers would put the runner inside, which needs nothing there.",
                "Leave out --sdm apptainer; container.runtime in config/site.yaml says how containers start.",
            )
        free = self._hold()
        if not free and real:
            raise RunInProgress("Another run works in this folder.", "Wait for it, or use another folder.")
        if real:
            os.environ.update(self.variables)
            if self.workflow.executor_plugin.name == SLURM:
                cluster.begin(self.workspace)
        targets = self.targets()
        recipes = self.recipes(targets)
        forced = self._forced(recipes)
        with self.workspace.lock_results() if free else nullcontext():
            decisions = decide(self.workspace, recipes, in_order(recipes, list(recipes)), restore=real)
            if real:
                for decision in decisions:
                    if decision.state in (State.BUILD, State.WAITING):
                        self.launch.require(self.environment(decision.recipe))
            self.planned = set(recipes)
            together = families(decisions, many=self._runs_whole())
            self.family = {member: head for head, members in together.items() for member in members}
            if real:
                with self.workspace.store.in_use():
                    self.workspace.root.register()
            if free:
                os.environ[PLAN] = self.workspace.write_plan(recipes, forced, together, self.launch)
                mark(self.workspace, decisions, together)
        if not real and self.lock is not None:
            os.close(self.lock)
        if executes:
            announce(self, self.forecast(decisions, forced), targets, real)

    def _runs_whole(self) -> bool:
        """Whether every planned job is to run, and the run ends with the first that fails."""
        graph, execution = self.workflow.dag_settings, self.workflow.execution_settings
        parts = graph is not None and (graph.until or graph.omit_from)
        return not parts and not (execution is not None and execution.keep_going)

    def _hold(self) -> bool:
        """Take this folder for the life of the process; the system lets go of it when the process ends, however."""
        self.workspace.graph.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.workspace.graph / "lock", os.O_WRONLY | os.O_CREAT)
        try:
            flock(self.lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def targets(self) -> list[str]:
        """The artifacts that the command line asks for; all of them if that cannot be told."""
        settings = self.workflow.dag_settings
        asked = set(settings.targets if settings is not None else ()) or {self.workflow.default_target}
        return sorted({name for target in asked for name in self.wanted(target)})

    def wanted(self, target: str) -> list[str]:
        """Artifacts that a target stands for: a rule's own, those that a rule collects, or the one of a mark."""
        rules = {rule.name: rule for rule in self.workflow.rules}
        if target not in rules:
            return [name] if (name := self.workspace.marked_artifact(target)) else []
        rule = rules[target]
        if rule.output and is_flagged(rule.output[0], SEALED):
            return [rule.output[0].flags[SEALED]]
        collected = [item(Wildcards()) if callable(item) else item for item in rule.input]
        paths = [path for item in collected for path in ([item] if isinstance(item, str) else item or [])]
        return [name for path in paths if (name := self.workspace.marked_artifact(str(path)))]

    def _forced(self, recipes: dict[str, Recipe]) -> list[str]:
        settings = self.workflow.dag_settings
        if settings is None:
            return []
        asked = {self.workspace.marked_artifact(str(name)) or str(name) for name in settings.forcerun}
        forced = asked | (set(self.targets()) if settings.forcetargets else set())
        return sorted(
            name for name, recipe in recipes.items() if settings.forceall or recipe.rule in forced or name in forced
        )

    def resources(self, rule: Any, wildcards: Wildcards) -> dict[str, int | str | None]:
        """What a rule says of its cost, and its threads; inputs are marks, so that functions see none.

        Raises:
            InvalidRule: a number is none.
        """
        found: dict[str, int | str | None] = {"threads": None}
        known = {"rulename": rule.name, "async_run": self.workflow.async_run, "input": InputFiles(), "attempt": 1}
        hints = self.costs(rule.name, dict(wildcards.items()))
        for name in ("_cores", *(name for name in COSTS if name in rule.resources or name in hints)):
            if name in hints:
                value = hints[name]
            else:
                value = rule.resources[name].evaluate(wildcards, **known, threads=found["threads"]).value
            if name not in WORDS and not isinstance(value, int | None):
                raise InvalidRule(f"Resource {name} of rule {rule.name} is {value!r}.", "Give it a whole number.")
            found[name.replace("_cores", "threads")] = value
        if found.get("device") == "cpu" and self.workflow.global_resources.get(JOBS).value is None:
            return {name: value for name, value in found.items() if name not in ("gres", "nodes")}  # no cluster
        return found

    def forecast(self, decisions: list[Decision], forced: list[str]) -> Forecast:
        """What a run with this process's limits costs."""
        known = {name: self.workflow.global_resources.get(name).value for name in LIMITS}
        limits = {name: limit for name, limit in known.items() if limit is not None}
        if JOBS in limits:
            limits.pop(CORES, None)  # on a cluster jobs are limited, not their cores
        return forecast(self.workspace, decisions, forced, limits)
