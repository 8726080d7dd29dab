"""One build step: its folders, its program with options and variables, and the checks of its inputs and code."""

import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tapeout.graph.errors import InputChanged
from tapeout.graph.identity.action import Action, Recipe, Reference
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.container import Container, environment_of
from tapeout.graph.identity.environment import Environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch.launcher import Launch, Program, Start, start
from tapeout.graph.launch.node_agent import HOME, USER
from tapeout.graph.launch.node_check import check_nodes
from tapeout.graph.plan.rates import gpus_per_node
from tapeout.graph.workspace import Workspace

INHERITED_PREFIXES = (
    *("SLURM_", "NCCL_SOCKET_", "NCCL_IB_", "NCCL_NET", "NCCL_DEBUG", "GLOO_SOCKET_"),
    *("http", "https", "HTTP", "no_proxy", "NO_PROXY"),
)
INHERITED_NAMES = {
    *("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "TAPEOUT_STORE", "TAPEOUT_DOWNLOADS"),
    *("HF_TOKEN", "HF_ENDPOINT", "NETRC", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("TAPEOUT_CHECKPOINT_SECONDS", "TAPEOUT_DATA_WORKERS"),
}
"""Environment variables passed to a program: locations and credentials, nothing that affects its output."""
ORDERING_PREFIX = "after_"
"""Prefix of ordering-only inputs, which must exist before the program runs but are not passed to it."""


@dataclass(frozen=True)
class Step:
    """One build step that is about to run.

    Attributes:
        workspace: folders of the run.
        recipe: the step as its rule describes it.
        action: the recipe with the digests of its inputs.
        threads: number of threads for the program.
        log: log file.
        offline: whether the program has no network but the loopback interface.
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
    def stop_file(self) -> Path:
        """File that asks the program to save a checkpoint and exit."""
        return self.scratch / "stop"

    @cached_property
    def output(self) -> Path:
        """New path for this attempt's output, to which no process left from an earlier attempt can write."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="output.", dir=self.scratch)) / Path(self.recipe.artifact).name

    @cached_property
    def packages(self) -> Environment | Container:
        """Environment or container of the program."""
        return environment_of(self.recipe)

    def input_path(self, reference: Reference) -> Path:
        """Return the path of an input."""
        return self.workspace.artifact_path(reference.artifact) / reference.path

    def command(self) -> list[str]:
        """Return the program and its options: one per input, the parameters as a file, and the output."""
        options: list[str] = []
        for name, value in sorted(self.recipe.inputs.items()):
            references = value if isinstance(value, list) else [value]
            for reference in references if not name.startswith(ORDERING_PREFIX) else []:
                options += [f"--{name.replace('_', '-')}", str(self.input_path(reference))]
        return [
            *(self.recipe.script, *options),
            *("--params", str(self.scratch / "params.json"), "--output", str(self.output)),
        ]

    def start(self, temporary: Path) -> Start:
        """Return how to start the program, here or on the nodes of the job, which are checked first.

        Args:
            temporary: folder for temporary files.

        Raises:
            CannotStart: a node cannot run it, or its container cannot be started.
        """
        nodes, gpus = int(self.recipe.resources.get("nodes") or 1), gpus_per_node(self.recipe.resources)
        folders = tuple(path.absolute() for path in (self.workspace.work, self.workspace.results))
        command, variables = tuple(self.command()), self.variables(temporary)
        program = Program(command, self.packages, variables, folders, self.scratch, nodes, gpus)
        if not program.is_distributed(os.environ):
            return start(self.launch, program, os.environ)
        action = self.workspace.action_path(self.recipe.artifact)
        rendezvous = check_nodes(nodes, action, self.action.digest, gpus, os.environ)
        return start(self.launch, program, os.environ, rendezvous)

    def variables(self, temporary: Path) -> dict[str, str]:
        """Return the environment variables of the program, whose temporary folder is ``temporary``.

        Its home is an empty folder in there, so that no settings, logins and caches of the user reach it: libraries
        look for theirs (Matplotlib, Git, pip, Hugging Face, Triton) below the home unless a variable says otherwise.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in INHERITED_NAMES or name.startswith(INHERITED_PREFIXES)
        }
        return inherited | {
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "PYTHONSAFEPATH": "1",  # scripts cannot import from their own folder, which is not in the code digest
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "TMPDIR": str(temporary),
            "HOME": str(temporary / HOME),
            "USER": USER,
            "TAPEOUT_USER_HOME": os.environ.get("HOME", ""),  # for the cache of downloads
            "TAPEOUT_RUNNER": "1",
            "TAPEOUT_PLUGINS": ",".join(self.recipe.plugins),
            "TAPEOUT_THREADS": str(self.threads),
            "TAPEOUT_STATE": str(self.scratch / "state"),
            "TAPEOUT_METRICS": str(self.workspace.metrics_path(self.action.digest).absolute()),
            "TAPEOUT_STOP": str(self.stop_file),
            "TAPEOUT_ACTION": str(self.workspace.action_path(self.recipe.artifact).absolute()),
        }

    def check_code(self) -> None:
        """Check that program, modules and environment match the action.

        Raises:
            InputChanged: they do not.
        """
        action = self.action.value
        same = closure(Path(self.recipe.script), Path(), self.recipe.plugins) == action["code"]
        if not same or environment_of(self.recipe).digest != action["environment"]["digest"]:
            raise InputChanged(
                f"The code or the environment of {self.recipe.artifact} was edited during the run.",
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
