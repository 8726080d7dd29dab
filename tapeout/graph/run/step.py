"""One build step: its folders, its program with options and variables, and the checks of its inputs and code."""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tapeout.graph.errors import InputChanged, NotAPlainFile
from tapeout.graph.files import only_regular, read_file, write_atomically
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.code_tree import materialise, times
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
from tapeout.graph.run.surroundings import FIXED, LINKED_CONTROL, LINKED_OUTPUT, STATE, STOP, Surroundings
from tapeout.graph.workspace import Workspace
from tapeout.program import StepFailed

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
        return self.control / STOP

    @cached_property
    def control(self) -> Path:
        """New folder for this attempt's request to stop and its program's note of the end."""
        return self._new_folder("control.")

    @cached_property
    def output(self) -> Path:
        """New path for this attempt's output, to which no process left from an earlier attempt can write."""
        return self._new_folder("output.") / Path(self.recipe.artifact).name

    def _new_folder(self, prefix: str) -> Path:
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self.scratch))

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
        self._prepare_metrics()
        for name, folder in ((LINKED_OUTPUT, self.output.parent), (LINKED_CONTROL, self.control)):
            (self.scratch / name).unlink(missing_ok=True)
            (self.scratch / name).symlink_to(folder.name)
        for name, data in self._given.items():
            write_atomically(self.scratch / name, data)
        _ = self._code_times, self._output_inode
        results = self.workspace.results
        seen = Surroundings(
            *(self.recipe, results, self.scratch, self.output, self.control, self.metrics, self.code, self.threads),
            dict(os.environ),
        )
        program = self._program(seen, temporary)
        if not program.is_distributed(os.environ):
            return start(self.launch, program, os.environ)
        action = self.workspace.action_path(self.recipe.artifact)
        rendezvous = check_nodes(self.recipe.nodes, action, self.action.digest, program.gpus, os.environ)
        return start(self.launch, program, os.environ, rendezvous)

    def _prepare_metrics(self) -> None:
        """Create the journal of metrics, and begin a new one unless the program resumes from saved state."""
        self.metrics.parent.mkdir(parents=True, exist_ok=True)
        if not any((self.scratch / STATE).iterdir()):
            self.metrics.unlink(missing_ok=True)
        with open(self.metrics, "ab", opener=only_regular):
            pass

    def _program(self, seen: Surroundings, temporary: Path) -> Program:
        """Return the program: isolated by a sandbox or by its container, or, if it fetches, not at all."""
        nodes, gpus = self.recipe.nodes, gpus_per_node(self.recipe.resources)
        if isinstance(self.packages, Environment) and not self.recipe.fetches:
            variables = seen.inherited() | {"PATH": os.environ.get("PATH", PATH), "TMPDIR": str(temporary)}
            command = tuple(seen.command(FIXED))
            program = Program(command, self.packages, variables, self.scratch, nodes=nodes, gpus=gpus)
            network = program.is_distributed(os.environ)
            specification = seen.specification(self.packages, self.launch.mounts, network)
            path = self.workspace.sandbox_path(self.recipe.artifact).absolute()  # where the program cannot read it
            return replace(program, specification=specification.write(path))
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

    def check_folders(self) -> None:
        """Check after the program that its code, its parameters and the folder of its output are those it was given.

        Raises:
            InputChanged: code or parameters were edited.
            StepFailed: the program put another folder in place of that of its output.
        """
        edited = [name for name, data in self._given.items() if _content(self.scratch / name) != data]
        if edited or times(self.code) != self._code_times:
            what = f"The file {edited[0]}" if edited else "The code"
            raise InputChanged(
                f"{what} of {self.recipe.artifact} was edited while its program ran.",
                f"Nothing was stored; run again, and edit nothing in {self.workspace.work}.",
            )
        if _inode(self.output.parent) != self._output_inode:
            raise StepFailed(
                f"The program of {self.recipe.artifact} replaced the folder of its output.", "Write into it instead."
            )

    @cached_property
    def _given(self) -> dict[str, bytes]:
        """Files that describe the step to its program."""
        return {"params.json": canonical(self.recipe.params), "action.json": self.action.encode()}

    @cached_property
    def _code_times(self) -> dict[str, tuple[int, ...]]:
        """State of the code's files when the program starts."""
        return times(self.code)

    @cached_property
    def _output_inode(self) -> int | None:
        """Inode of the folder of the output when the program starts."""
        return _inode(self.output.parent)

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


def _inode(path: Path) -> int | None:
    """Return the inode of a folder; None if there is none, or something else."""
    return path.lstat().st_ino if path.is_dir() and not path.is_symlink() else None


def _content(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none, or something else."""
    with suppress(OSError, NotAPlainFile):
        return read_file(path)
    return None
