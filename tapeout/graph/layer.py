"""The content layer in Snakemake: the functions that rules use, and one decision before the graph is built."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snakemake.io import Mtime, ancient, flag
from snakemake.jobs import Job
from snakemake.settings.enums import Quietness
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

from tapeout.errors import TapeoutError
from tapeout.graph import cluster
from tapeout.graph.configuration import Configuration
from tapeout.graph.console import print_line
from tapeout.graph.errors import InvalidRule, RunInProgress
from tapeout.graph.files import only_regular, report_disk_errors
from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.code_tree import materialise
from tapeout.graph.identity.digest import DigestCache
from tapeout.graph.identity.environment import Environment, missing
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.plan.decide import Decision, batches, decide, expose, in_order, mark
from tapeout.graph.plan.describe import describe
from tapeout.graph.plan.forecast import CORES, LIMITS, Forecast, forecast
from tapeout.graph.plan.hardware import idle_gpus, missing_gpus
from tapeout.graph.plan.rates import allocated_gpus
from tapeout.graph.request import Request
from tapeout.graph.rules import ARTIFACT, PYTHON, SEALED, CostTable, RuleReader, build_command
from tapeout.graph.run.interrupt import Interrupter
from tapeout.graph.run.log_filter import install_filter
from tapeout.graph.run.run_record import RunRecord, RunRecorder
from tapeout.graph.run.usage import summarize, unreached
from tapeout.graph.workspace import PLAN, State
from tapeout.slurm.client import SLURM

LIMIT_OPTIONS = {"--cores": "cores", "--jobs": "nodes", "--max-threads": "max_threads"}
"""Options of Snakemake that must be positive, with Snakemake's names of their values; with 0 it waits forever."""
PREVIEWS: list[Callable[["Layer", list[Decision]], None]] = []
"""Functions that a dry run calls when it has printed the plan, with the decisions on the planned steps."""


@contextmanager
def named_errors() -> Iterator[None]:
    """Print a ``TapeoutError`` as its cause and fix, without a traceback, and exit with status 1."""
    try:
        with report_disk_errors():
            yield
    except TapeoutError as error:
        print_line(error)
        raise SystemExit(1) from None


def check_start(workflow: Any, version: str) -> None:
    """Check that Snakemake has at least this version and runs in the folder of the Snakefile.

    Inputs, results and environments are paths relative to that folder.
    """
    min_version(version)
    with named_errors():
        if not Path.cwd().samefile(workflow.basedir):
            raise InvalidRule(
                f"Snakemake runs in {Path.cwd()}, not in the folder of the Snakefile.",
                f"Run it there, without --directory: cd {shlex.quote(str(workflow.basedir))}",
            )


class Layer(RuleReader):
    """The content layer of one Snakemake process.

    Args:
        workflow: Snakemake's ``workflow`` object.
        checkpoints: Snakemake's ``checkpoints`` object.
        launch: how this site starts programs: the arguments of ``Launch``.
        variables: environment variables of the processes that the run starts, here and in the cluster.
        costs: returns cost hints (``forecast.COSTS``) for a rule's name and the values of its wildcards, by name. They
            override resources of the same name in the rule.
    """

    def __init__(
        self,
        workflow: Any,
        checkpoints: Any,
        launch: Mapping[str, Any] = MappingProxyType({}),
        variables: Mapping[str, str] = MappingProxyType({}),
        costs: CostTable = lambda rule, wildcards: {},
    ) -> None:
        super().__init__(workflow, costs)
        self.checkpoints = checkpoints
        self.launch = Launch(**launch)
        self.run_variables = variables
        self.local = DigestCache(self.workspace.work / "local_digests.json")
        self.decided = False
        self.planned: set[str] = set()
        self.heads: dict[str, str] = {}
        self.lock: int | None = None
        self.recorder: RunRecorder | None = None
        self.request = Request(self)
        if workflow.is_main_process:
            interrupter = Interrupter(workflow)
            if "snakemake.cli" in sys.modules:  # not where another program reads the workflow
                interrupter.listen()
            self.quiet = workflow.output_settings.quiet or set()
            quiet = Quietness.PROGRESS in self.quiet
            self.log_filter = install_filter(workflow, quiet, lambda: interrupter.number is not None)
            self._prepare_graph, workflow._prepare_dag = workflow._prepare_dag, self._prepare
            self._execute_graph, workflow.execute = workflow.execute, self._execute

    # -- functions for rules ---------------------------------------------------------------------------------------

    def sealed(self, name: str) -> Any:
        """Return the output of a rule: the artifact ``name`` (a file or a folder below ``results/``)."""
        return flag(str(self.workspace.sealed_path(name)), SEALED, name)

    def artifact(self, name: str, path: str = "") -> Any:
        """Return an input of a rule: an artifact, or one file or folder in it."""
        return flag(ancient(str(self.workspace.sealed_path(name))), ARTIFACT, (name, path))

    def parameters(self, section: Any, **more: Any) -> dict[str, Callable[[Any], Any]]:
        """Return the parameters of a rule: a section of the configuration by name, and further values.

        Each is a function, because Snakemake interprets braces in a string (a prompt template) as wildcards.
        """

        def constant(value: Any) -> Callable[[Any], Any]:
            return lambda wildcards: value

        return {name: constant(value) for name, value in {**section.identity(), **more}.items()}

    def container(self, image: str | None, python: str) -> str | None:
        """Return the container of a rule: the image that its program runs in; None for the ``conda:`` environment.

        The runner stays outside, in the workflow's environment, so that an image need not contain anything of this
        project.
        """
        if image is not None:
            self.pythons[image] = python
        return image

    def action(self, name: str) -> Callable[[Any], str]:
        """Return the first input of every rule: its action, which may have to be resolved by the checkpoint."""

        def action_path(wildcards: Any) -> str:
            concrete = name.format(**dict(wildcards.items()))
            self.decide()
            if self.workflow.is_main_process and concrete not in self.planned:
                # Snakemake has reached a job that was not decided: its mark may be that of another run
                with named_errors():
                    raise InvalidRule(f"Artifact {concrete} was not planned.", "Request it by the name of its rule.")
            if concrete in self.heads:
                self.checkpoints.resolve.get(artifact=self.heads[concrete])
            return str(self.workspace.action_path(concrete))

        return action_path

    def build(self, script: str) -> str:
        """Return the shell command of a rule: build the artifact with ``script``."""
        return build_command(script)

    def resolve(self) -> str:
        """Return the shell command of the checkpoint."""
        return f"{PYTHON} -m tapeout.graph.plan.resolve {{wildcards.artifact:q}}"

    def checkpoint_inputs(self, wildcards: Any) -> list[str]:
        """Return the inputs of the checkpoint: the marks of all direct inputs of a batch."""
        members = [name for name, head in self.heads.items() if head == wildcards.artifact] or [wildcards.artifact]
        needed = {needed for member in members for needed in self.recipe(member).dependencies()}
        return [str(self.workspace.sealed_path(name)) for name in sorted(needed)]

    # -- decisions -------------------------------------------------------------------------------------------------

    def _prepare(self, **options: Any) -> None:
        """Translate Snakemake's options before it reads them; it has no hook between its options and its graph."""
        with named_errors():
            self._check_options()
            self.request.translate()
            if self.workflow.dag_settings.allowed_rules:
                self.decide()
        self._prepare_graph(**{**options, "nolock": True})  # the layer has its own lock

    def _execute(self, **options: Any) -> None:
        """Execute the graph; end with status 1 if Snakemake reports success although planned steps did not run."""
        done = self._execute_graph(**options)
        if done is False:  # a file of --wait-for-files is missing, which Snakemake has printed
            raise SystemExit(1)
        with named_errors():
            left = unreached(self.workspace, self.recorder.record) if self.recorder is not None else ()
        if left:
            print_line(f"! Snakemake has ended without these planned artifacts: {', '.join(sorted(left))}")
            raise SystemExit(1)

    def _check_options(self) -> None:
        deployment = self.workflow.deployment_settings
        methods = set(deployment.deployment_method) if deployment is not None else set()
        if methods & {DeploymentMethod.APPTAINER, DeploymentMethod.CONDA}:
            raise InvalidRule(
                "Snakemake's own environments and containers would include the runner, which must stay outside.",
                "Omit --sdm; container.runtime in config/site.yaml says how containers start.",
            )
        if self.workflow.workflow_settings.cache is not None:
            raise InvalidRule(
                "--cache would keep results a second time.", "Leave it out: the store keeps every result."
            )
        execution = self.workflow.execution_settings
        if execution is not None and execution.no_hooks:  # Ctrl-C is handled by hooks of the layer
            self.workflow.execution_settings = replace(execution, no_hooks=False)
        if self.workflow.executor_plugin is not None and self.workflow.touch:
            raise InvalidRule(
                "--touch would mark artifacts as built that are not.",
                "Leave it out: content decides what runs, and no file time.",
            )
        for option, name in LIMIT_OPTIONS.items():
            number = getattr(self.workflow.resource_settings, name)
            if number is not None and number < 1:
                raise InvalidRule(
                    f"{option} {number} would leave nothing to run steps with.",
                    f"Give a whole number of at least 1, for example {option} 1.",
                )

    @property
    def real(self) -> bool:
        """True if jobs are executed: this is no dry run, and the command line does more than show the graph."""
        return self.workflow.executor_plugin is not None and not self.workflow.dryrun

    def decide(self) -> None:
        """Decide what runs: once, in the main process, when Snakemake begins to build its graph.

        A dry run (and ``--summary``, ``--rulegraph`` etc.) only writes Snakemake's marks. It leaves ``results/`` as it
        is, and shows the plan that a real run would have.
        """
        if self.decided or not self.workflow.is_main_process:
            return
        self.decided = True
        with named_errors():
            self._decide(self.workflow.executor_plugin is not None, self.real)

    def _decide(self, executes: bool, real: bool) -> None:
        locked = self._lock_folder()
        if not locked and real:
            raise RunInProgress("Another run is active in this folder.", "Wait for it, or use another folder.")
        if real:
            self.workspace.check_trust()
            os.environ.update(self.run_variables)
            if self.workflow.executor_plugin.name == SLURM:
                cluster.prepare(self.workspace)
        recipes = self.recipes(self.request.roots())
        forced = self.request.forced(recipes)
        with self.workspace.lock_results() if locked else nullcontext():
            decisions = decide(self.workspace, recipes, in_order(recipes, list(recipes)), restore=real)
            to_run = {d.recipe.artifact for d in decisions if d.state in (State.BUILD, State.WAITING)} | set(forced)
            self.request.allow(recipes, to_run)
            left = self.request.selected(recipes)
            forced = [name for name in forced if name in left]
            notes = self._check_steps([recipes[name] for name in sorted(to_run & left)], real) if executes else []
            self.planned = set(recipes)
            visible = expose(decisions, forced)
            members = batches(visible, merge=self._runs_completely())
            self.heads = {member: head for head, batch in members.items() for member in batch}
            if real:
                with self.workspace.store.in_use():
                    self.workspace.root.register()
            if locked:
                os.environ[PLAN] = self.workspace.write_plan(recipes, forced, members, self.launch)
                mark(self.workspace, visible, members)
        if not real:
            self._remember_marks(members)
            if self.lock is not None:
                os.close(self.lock)
        if executes:
            selected = [decision for decision in decisions if decision.recipe.artifact in left]
            self._announce(self.forecast(selected, forced), real)
            for note in notes:
                print_line(note)
            if self.workflow.dryrun and Quietness.ALL not in self.quiet:
                for preview in PREVIEWS:
                    preview(self, selected)

    def _remember_marks(self, heads: Iterable[str]) -> None:
        """Let Snakemake see the marks as they are now, although another run may delete some before it looks again.

        That run's Snakemake deletes the outputs of a job before it starts the job. This one would end because a file
        that existed has no time or size, or is not writable and hence write-protected. It writes none of them.
        """
        of_artifacts = (self.workspace.action_path, self.workspace.sealed_path)
        marks = [path_of(name) for name in self.planned for path_of in of_artifacts]
        cache = self.workflow.iocache
        for path in [*marks, *map(self.workspace.resolved_path, heads)]:
            with suppress(FileNotFoundError):
                info = path.stat()
                cache.exists_local[str(path)] = True
                cache.mtime[str(path)], cache.size[str(path)] = Mtime(local=info.st_mtime), info.st_size

        async def writes_nothing(job: Job) -> None:
            pass

        Job.check_protected_output = writes_nothing

    def _check_steps(self, steps: list[Recipe], real: bool) -> list[str]:
        """Check that the planned steps can be started; in a dry run, return what is missing as notes.

        Raises:
            InvalidEnvironment, EnvironmentChanged: environments are not installed, or not as they were.
            CannotStart: a container is needed, and no runtime is configured, or this machine has no GPU.
        """
        used = [self.environment(recipe) for recipe in steps]
        errors: list[TapeoutError | None] = [missing(need for need in used if isinstance(need, Environment))]
        on_cluster = self.on_cluster and any(map(allocated_gpus, (step.resources for step in steps)))
        errors += [] if self.on_cluster else [missing_gpus(steps)]
        notes = []
        for error in filter(None, errors):
            if real:
                raise error
            notes.append(f"{error.cause} {error.fix}")
        if real:
            for packages in {(packages.name, packages.digest): packages for packages in used}.values():
                self.launch.require(packages)
                if isinstance(packages, Environment):
                    packages.check_files()
            for step in steps:  # a snapshot: what is edited from now on has no effect on this run
                materialise(step.code, self.root, self.workspace.code)
        return [*notes, *filter(None, [idle_gpus(steps) if on_cluster else ""])]

    def _announce(self, cost: Forecast, real: bool) -> None:
        """Print the plan and, in a dry run for a cluster, the sbatch commands; begin the record of a real run."""
        targets = self.request.targets()
        if not (real and Quietness.ALL in self.quiet):
            print_line(describe(cost, targets, real))
        workflow = self.workflow
        if real:
            record = RunRecord.new(workflow.executor_plugin.name, targets, cost, Configuration.of(workflow))
            self.recorder = RunRecorder(self.workspace, record, partial(summarize, self.workspace))
            self.log_filter.on_failure = self.recorder.add_failure
        elif workflow.dryrun and workflow.output_settings.printshellcmds:
            cluster.print_submissions(workflow, cost, self.producer)

    def _runs_completely(self) -> bool:
        """Return whether every planned job is to run, and the run ends with the first that fails."""
        execution = self.workflow.execution_settings
        return not self.request.is_partial and not (execution is not None and execution.keep_going)

    def _lock_folder(self) -> bool:
        """Lock this folder for the life of the process; return False if another process has locked it."""
        self.workspace.graph.mkdir(parents=True, exist_ok=True)
        self.lock = only_regular(str(self.workspace.graph / "lock"), os.O_WRONLY | os.O_CREAT)
        try:
            flock(self.lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def forecast(self, decisions: list[Decision], forced: list[str]) -> Forecast:
        """Forecast the cost of a run within the limits of this process."""
        known = {name: self.workflow.global_resources.get(name).value for name in LIMITS}
        limits = {name: limit for name, limit in known.items() if limit is not None}
        if self.on_cluster:
            limits.pop(CORES, None)  # there the number of jobs is limited, not that of cores
        return forecast(self.workspace, decisions, forced, limits)
