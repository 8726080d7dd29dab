"""One build step: its folders, its program with options and variables, and the checks of its inputs and code."""

import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tapeout.graph.errors import InputChanged
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.code_tree import materialise
from tapeout.graph.identity.container import Container, environment_of
from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.environment import Environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch import node_agent
from tapeout.graph.launch.launcher import AGENT, Launch, Program, Start, start
from tapeout.graph.launch.node_agent import HOME
from tapeout.graph.launch.node_check import check_nodes
from tapeout.graph.launch.sandbox import PATH
from tapeout.graph.plan.rates import gpus_per_node
from tapeout.graph.run.surroundings import FIXED, LINKED_OUTPUT, Surroundings
from tapeout.graph.workspace import Workspace

MAX_MOUNTS = 100
"""Inputs that a container mounts one by one; of more, it mounts the whole folder of results."""


@dataclass(frozen=True)
class Step:
    """One build step that is about to run.

    Attributes:
        workspace: folders of the run.
        recipe: the step as its rule describes it.
        action: the recipe with the digests of its inputs.
        threads: number of threads for the program.
        log: log file.
        offline: true if a program that fetches has no network but the loopback interface; others never have one.
        launch: how this site starts programs.
    """

    workspace: Workspace
    recipe: Recipe
    action: Action
    threads: int
    log: Path
    offline: bool = False
    launch: Launch = field(default_factory=Launch)

    @property
    def scratch(self) -> Path:
        """Work folder, named by the action digest, so that no other action ever resumes from its checkpoint."""
        return (self.workspace.work / self.action.digest).absolute()

    @property
    def metrics(self) -> Path:
        """Journal of the metrics that the program reports; it is deleted at the end if it is empty."""
        return self.workspace.metrics_path(self.action.digest).absolute()

    @property
    def stop_file(self) -> Path:
        """File that asks the program to save a checkpoint and exit."""
        return self.scratch / "stop"

    @cached_property
    def output(self) -> Path:
        """New path for this attempt's output, to which no process left from an earlier attempt can write."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="output.", dir=self.scratch)) / Path(self.recipe.artifact).name

    @cached_property
    def code(self) -> Path:
        """Tree of its code.

        Raises:
            InputChanged: the code was edited since this run decided what to do, and its tree is lost.
        """
        return materialise(self.action.value["code"], Path(), self.workspace.code).absolute()

    @property
    def isolation(self) -> str:
        """Kind of isolation, for the log; empty if the sandbox writes it there itself."""
        if isinstance(self.packages, Environment):
            return "none, because the step fetches what a digest pins" if self.recipe.fetches else ""
        return "container"

    @cached_property
    def packages(self) -> Environment | Container:
        """Environment or container of the program."""
        return environment_of(self.recipe)

    def start(self, temporary: Path) -> Start:
        """Return how to start the program, here or on the nodes of the job, which are checked first.

        Args:
            temporary: a short path to the folder for temporary files.

        Raises:
            CannotStart: a node cannot run it, or its container cannot be started.
            InputChanged: see ``code``.
        """
        self.metrics.parent.mkdir(parents=True, exist_ok=True)
        self.metrics.touch()
        output = self.scratch / LINKED_OUTPUT
        output.unlink(missing_ok=True)
        output.symlink_to(self.output.parent.name)
        write_atomically(self.scratch / "action.json", self.action.encode())
        results = self.workspace.results
        seen = Surroundings(
            self.recipe, results, self.scratch, self.output, self.metrics, self.code, self.threads, dict(os.environ)
        )
        program = self._program(seen, temporary)
        if not program.is_distributed(os.environ):
            return start(self.launch, program, os.environ)
        action = self.workspace.action_path(self.recipe.artifact)
        rendezvous = check_nodes(self.recipe.nodes, action, self.action.digest, program.gpus, os.environ)
        return start(self.launch, program, os.environ, rendezvous)

    def _program(self, seen: Surroundings, temporary: Path) -> Program:
        """Return the program: isolated by a sandbox or by its container, or, if it fetches, not at all."""
        nodes, gpus = self.recipe.nodes, gpus_per_node(self.recipe.resources)
        if isinstance(self.packages, Environment) and not self.recipe.fetches:
            variables = seen.inherited() | {"PATH": os.environ.get("PATH", PATH), "TMPDIR": str(temporary)}
            command = tuple(seen.command(FIXED))
            program = Program(command, self.packages, variables, self.scratch, nodes=nodes, gpus=gpus)
            network = program.is_distributed(os.environ)
            specification = seen.specification(self.packages, self.launch.mounts, network)
            path = self.workspace.sandbox_path(self.recipe.artifact).absolute()
            write_atomically(path, canonical(asdict(specification)))  # where the program cannot read it
            return replace(program, specification=path)
        places = seen.places(temporary)
        program = Program(
            tuple(seen.command(places)), self.packages, seen.variables(places), self.scratch, nodes=nodes, gpus=gpus
        )
        if isinstance(self.packages, Environment):
            return program
        shutil.copyfile(node_agent.__file__, self.scratch / AGENT)
        here = seen.link_inputs(self.scratch / "tmp")
        inputs = sorted({self.workspace.artifact_path(name) for name in self.recipe.dependencies()})
        shown = inputs if len(inputs) <= MAX_MOUNTS else [self.workspace.results]
        return replace(program, code=seen.code, here=here, folders=(seen.code, self.scratch, seen.metrics, *shown))

    def settle(self) -> None:
        """Give what was prepared for the program the modes that its own files have, whatever the user's umask is."""
        for path in (self.metrics, self.scratch, *self.scratch.iterdir(), self.scratch / "tmp" / HOME):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else 0o644)

    def check_environment(self) -> None:
        """Check that the environment is that of the action.

        Raises:
            InputChanged: it is not.
        """
        if environment_of(self.recipe).digest != self.action.value["environment"]["digest"]:
            raise InputChanged(
                f"The environment of {self.recipe.artifact} was edited during the run.",
                "Nothing was stored; run again. To edit freely during a long run, run from a separate clone.",
            )

    def check_inputs(self, manifests: dict[str, Manifest]) -> None:
        """Check that every input matches its manifest.

        Raises:
            InputChanged: one does not.
        """
        for name, manifest in manifests.items():
            if not manifest.matches(self.workspace.artifact_path(name)):
                raise InputChanged(
                    f"Artifact {name}, an input of {self.recipe.artifact}, does not match its manifest.",
                    "Nothing was stored; run again and it is restored or rebuilt.",
                )

    def read_manifests(self) -> dict[str, Manifest]:
        """Return the manifests of the inputs.

        Raises:
            InputChanged: one is missing, or the recipe resolves to another action.
        """
        manifests = {}
        for needed in self.recipe.dependencies():
            manifest = self.workspace.manifest(needed)
            if manifest is None:
                raise InputChanged(f"Artifact {needed} has lost its manifest.", "Run Snakemake again.")
            manifests[needed] = manifest
        if self.recipe.action(manifests.__getitem__).digest != self.action.digest:
            raise InputChanged(
                f"The inputs of {self.recipe.artifact} changed since its action was resolved.", "Run Snakemake again."
            )
        return manifests

    def check_current(self) -> None:
        """Check that no other run in this folder has resolved the artifact to another action.

        Raises:
            InputChanged: one has, so the artifact must not be touched.
        """
        if self.workspace.action(self.recipe.artifact).digest != self.action.digest:
            raise InputChanged(
                f"Another run has resolved {self.recipe.artifact} to another action since this step began.",
                "Run Snakemake again.",
            )
