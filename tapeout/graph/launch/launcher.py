"""Command and variables that start a program: on this machine or on every node of the job, bare or in a container.

The runner stays outside of containers, in the workflow's environment: it verifies, digests and stores; only the program
runs inside. An image therefore needs nothing of this project, and Apptainer and Pyxis differ in their options alone.

Everything here is a function of its arguments (and of the image files that exist). No value of a variable appears on a
command line, where every user of the machine could read it.
"""

import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tapeout.errors import TapeoutError
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.environment import Environment
from tapeout.graph.launch import node_agent, sandbox
from tapeout.slurm.allocation import SUBMITTED

BARE, APPTAINER, PYXIS = "bare", "apptainer", "pyxis"
SRUN = "srun"
RUNTIMES = (BARE, APPTAINER, PYXIS)
IMAGE_FILES = {
    APPTAINER: ("sif", "apptainer pull {file} docker://{pinned}"),
    PYXIS: ("sqsh", "enroot import --output {file} docker://{enroot}"),
}
"""Suffix of a pulled image, and the command that pulls it, by runtime."""

HOST_ONLY = ("PATH", "HOME", "USER", "LD_LIBRARY_PATH", "SSL_", "REQUESTS_CA_BUNDLE", "HTTPLIB2_", "PYTHONPATH")
"""Variables with paths and names of the host, which are not passed into a container."""
RUNTIME_VARIABLES = ("PATH", "HOME", "USER", "XDG_", "http", "https", "HTTP", "no_proxy", "NO_PROXY", "ENROOT_")
APPTAINER_VARIABLES = tuple(
    f"APPTAINER_{name}" for name in ("CACHEDIR", "TMPDIR", "CONFIGDIR", "DOCKER_USERNAME", "DOCKER_PASSWORD")
)
"""Variables that a runtime itself needs to find its files and its registry."""
JOB_VARIABLES = (
    *("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CONF", "SLURM_CLUSTER_NAME", "SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST"),
)
"""Variables of the job that a new step needs. Slurm's others describe the calling step and would alter the new one."""
FIRST_PORT, PORTS = 10000, 10000
AGENT = "node_agent.py"
"""Copy of the node agent in the scratch folder of a program that runs in a container."""


class CannotStart(TapeoutError):
    """A program cannot be started: container runtime, image, mounted path or node are missing or cannot be used."""


@dataclass(frozen=True)
class Launch:
    """Settings by which this site starts programs.

    Attributes:
        runtime: one of ``RUNTIMES``.
        mounts: further folders that programs see, as ``PATH`` or ``OUTSIDE:INSIDE[:FLAGS]``.
        images: folder of pulled images, ``sha256-DIGEST.sif`` (or ``.sqsh``); empty if the runtime pulls them.
    """

    runtime: str = BARE
    mounts: tuple[str, ...] = ()
    images: str = ""

    def __post_init__(self) -> None:
        """Check the runtime.

        Raises:
            CannotStart: it is unknown.
        """
        if self.runtime not in RUNTIMES:
            raise CannotStart(
                f"There is no container runtime {self.runtime}.",
                f"Set container.runtime in config/site.yaml to one of {', '.join(RUNTIMES)}.",
            )

    def as_json(self) -> dict[str, Any]:
        """Return JSON values for the plan file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Launch":
        """Return the inverse of ``as_json``."""
        return cls(**{**value, "mounts": tuple(value["mounts"])})

    def require(self, environment: Environment | Container) -> None:
        """Check that programs can be started in ``environment`` here.

        Raises:
            InvalidEnvironment, EnvironmentChanged: see ``Environment.require``.
            CannotStart: a container is needed, and no runtime is configured.
        """
        if isinstance(environment, Environment):
            environment.require()
        elif self.runtime == BARE:
            raise CannotStart(
                f"A step runs in the container {environment.pinned}, but this site has no container runtime.",
                "Set container.runtime in config/site.yaml to apptainer or pyxis.",
            )


@dataclass(frozen=True)
class Program:
    """A program to start, and what it may see.

    Attributes:
        command: script and options, without the interpreter.
        environment: environment or container that it runs in.
        variables: its environment variables; those of the sandbox that starts it, if there is one.
        scratch: its own folder, on a file system that all nodes share.
        specification: file with what the sandbox shows to it, and its digest; None if it runs without one.
        folders: files and folders that its container shows to it.
        code: tree of its code, for a container.
        here: its working directory in a container.
        nodes: number of nodes.
        gpus: number of GPUs that it computes on, on each node.
    """

    command: tuple[str, ...]
    environment: Environment | Container
    variables: dict[str, str]
    scratch: Path
    specification: tuple[str, str] | None = None
    folders: tuple[Path, ...] = ()
    code: Path = Path()
    here: Path = Path()
    nodes: int = 1
    gpus: int = 0

    def is_distributed(self, caller: Mapping[str, str]) -> bool:
        """Return whether it is started once on each of several nodes.

        Outside a job a single start creates all its processes.
        """
        return self.nodes > 1 and SUBMITTED in caller and "SLURM_JOB_ID" in caller


@dataclass(frozen=True)
class Start:
    """A command that starts a program.

    Attributes:
        command: command line.
        variables: environment variables.
        stopped: file that a node creates if its program stopped with a checkpoint; None on a single node.
    """

    command: list[str]
    variables: dict[str, str]
    stopped: Path | None = None

    def prepare(self) -> None:
        """Check that the command exists on this machine, and remove the ``stopped`` file of an earlier attempt.

        Raises:
            CannotStart: there is no such command.
        """
        command = self.command[0]  # a path is that of an environment, which ``Launch.require`` has checked
        if "/" not in command and shutil.which(command, path=self.variables.get("PATH")) is None:
            raise CannotStart(
                f"There is no {command} on {socket.gethostname()}.",
                "Install it there, or correct container.runtime in config/site.yaml.",
            )
        if self.stopped is not None:
            self.stopped.unlink(missing_ok=True)

    @property
    def signal(self) -> signal.Signals:
        """Signal that asks the program to stop: srun passes SIGUSR1 on, but kills the program on SIGTERM."""
        return signal.SIGUSR1 if self.command[0] == SRUN else signal.SIGTERM

    def program_status(self, status: int) -> int:
        """Return the program's exit status, given that of the command."""
        return node_agent.STOPPED if status == 0 and self.stopped is not None and self.stopped.exists() else status


def start(launch: Launch, program: Program, caller: Mapping[str, str], rendezvous: str = "") -> Start:
    """Return the command and variables that start a program.

    Args:
        launch: how this site starts programs.
        program: the program.
        caller: environment variables of the calling process: its job, and where runtimes find their files.
        rendezvous: ``host:port`` where the processes of several nodes meet.

    Raises:
        CannotStart: the container's runtime or image is missing, or a folder to mount has a comma or colon in its name.
    """
    environment, distributed = program.environment, program.is_distributed(caller)
    variables = program.variables | {"TMPDIR": str(program.scratch / "tmp")}  # each node creates its own below
    if distributed:
        variables |= {"TAPEOUT_NODES": str(program.nodes), "TAPEOUT_RENDEZVOUS": rendezvous}
    stopped = program.scratch / "stopped" if distributed else None
    if not isinstance(environment, Environment):
        launch.require(environment)
        start = _ContainerStart(launch, program, environment, variables, caller, stopped)
        return start.with_apptainer() if launch.runtime == APPTAINER else start.with_pyxis()
    command = [str(environment.python), *program.command]
    if program.specification is not None:
        agent = [sys.executable, "-I", "-S", sandbox.__file__, *program.specification, "--"]
        command = [*agent, f"{sandbox.ROOT}/env/bin/python", *program.command]
    if not distributed:
        return Start(command, program.variables)
    agent = _agent(sys.executable, stopped, Path(node_agent.__file__))
    wrapped = [*srun(program.nodes), "--export=ALL", *agent, *command]
    return Start(wrapped, _without_task(variables), stopped)


def srun(nodes: int) -> list[str]:
    """Return the srun command of a step with one task on each of ``nodes`` nodes, next to the calling step.

    ``--overlap``: the runner's own step holds all CPUs, memory and GPUs of the job. Each task gets all CPUs of the job
    on its node, unbound, because the program starts one process per GPU there, which share them.
    """
    count = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return [SRUN, *count, "--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1"]


def rendezvous_port(job: str) -> int:
    """Return the port at which the nodes of a job meet: below the ephemeral ports, and different for each job."""
    return FIRST_PORT + int(job) % PORTS


def select(caller: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return the caller's variables whose names start with one of the prefixes."""
    return {name: value for name, value in caller.items() if name.startswith(prefixes)}


def _without_task(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables for a new step of the job, whose tasks get the variables of a task from Slurm."""
    return {
        name: value
        for name, value in variables.items()
        if name in JOB_VARIABLES or not name.startswith(node_agent.TASK_VARIABLES)
    }


def _agent(python: str, stopped: Path | None, file: Path) -> list[str]:
    """Return the command of the node agent that starts the program, on each node and inside its container."""
    mark = ["--stopped", str(stopped)] if stopped is not None else []
    return [python, "-I", str(file), "start", *mark, "--"]


@dataclass(frozen=True)
class _ContainerStart:
    """Start of a program in a container; the fields are the arguments and intermediate results of ``start``."""

    launch: Launch
    program: Program
    container: Container
    variables: dict[str, str]
    caller: Mapping[str, str]
    stopped: Path | None

    @property
    def inner_variables(self) -> dict[str, str]:
        """Variables that the program sees in addition to the image's own."""
        variables = {name: value for name, value in self.variables.items() if not name.startswith(HOST_ONLY)}
        return variables | {node_agent.CODE: str(self.program.code)}

    @property
    def inner_command(self) -> list[str]:
        """Command that runs inside the container."""
        python = self.container.python
        return [*_agent(python, self.stopped, self.program.scratch / AGENT), python, *self.program.command]

    @property
    def mounts(self) -> list[str]:
        """The program's code, scratch folder and inputs, and the site's mounts."""
        folders: list[str] = []
        for path in self.program.folders:
            folder = str(path.resolve())
            if any(sign in folder for sign in ",:"):
                raise CannotStart(f"The folder {folder} has a comma or a colon in its name.", "Rename it.")
            if not any(Path(folder).is_relative_to(known) for known in folders):
                folders.append(folder)
        return [*folders, *self.launch.mounts]

    @property
    def image_file(self) -> str:
        """The image's file in the site's folder; empty if the site has no such folder."""
        if not self.launch.images:
            return ""
        suffix, pull = IMAGE_FILES[self.launch.runtime]
        file = Path(self.launch.images) / f"sha256-{self.container.digest}.{suffix}"
        if not file.is_file():
            command = pull.format(file=file, pinned=self.container.pinned, enroot=enroot_name(self.container))
            raise CannotStart(f"The image {self.container.pinned} is not in {self.launch.images}.", f"Run: {command}")
        return str(file)

    def with_apptainer(self) -> Start:
        """Return a start with Apptainer, on this machine or on each node with srun."""
        host = select(self.caller, *RUNTIME_VARIABLES, *APPTAINER_VARIABLES)
        binds = [option for mount in self.mounts for option in ("--bind", mount)]
        gpus = ["--nv"] if self.program.gpus else []
        image = self.image_file or f"docker://{self.container.pinned}"
        options = ["--cleanenv", "--no-home", *gpus, *binds, "--pwd", str(self.program.here), image]
        command = ["apptainer", "exec", *options, *self.inner_command]
        inner = self.inner_variables if self.stopped is None else _without_task(self.inner_variables)
        variables = host | {f"{node_agent.INTO_APPTAINER}{name}": value for name, value in inner.items()}
        if self.stopped is None:
            return Start(command, variables)
        agent = [sys.executable, "-I", node_agent.__file__, "apptainer", "--"]
        outer = [*srun(self.program.nodes), "--export=ALL", *agent]
        return Start([*outer, *command], variables | select(self.caller, *JOB_VARIABLES), self.stopped)

    def with_pyxis(self) -> Start:
        """Return a start with Pyxis, a plugin of srun: a step of the job on one node or several."""
        if "SLURM_JOB_ID" not in self.caller:
            raise CannotStart(
                "The runtime pyxis starts containers in a Slurm job, but this run is not in one.",
                "Run with --profile slurm, or set container.runtime in config/site.yaml to apptainer.",
            )
        host = select(self.caller, *RUNTIME_VARIABLES, *JOB_VARIABLES)
        inner = {
            name: value for name, value in _without_task(self.inner_variables).items() if name not in JOB_VARIABLES
        }
        mounts = [mount if ":" in mount else f"{mount}:{mount}" for mount in self.mounts]
        options = [
            f"--container-image={self.image_file or enroot_name(self.container)}",
            f"--container-mounts={','.join(mounts)}",
            f"--container-workdir={self.program.here}",
            "--no-container-mount-home",
            f"--container-env={','.join(sorted(inner))}",  # these override the image's own
            f"--export={','.join(sorted({*inner, *host}))}",
        ]
        nodes = self.program.nodes if self.stopped is not None else 1
        return Start([*srun(nodes), *options, *self.inner_command], host | inner, self.stopped)


def enroot_name(container: Container) -> str:
    """Return an image in the syntax of enroot, ``REGISTRY#REPOSITORY:sha256:DIGEST``.

    The digest takes the position of a tag, which all versions of enroot read; ``@sha256:`` needs version 4.
    """
    registry, _, path = container.repository.partition("/")
    has_registry = path and ("." in registry or ":" in registry or registry == "localhost")
    return f"{f'{registry}#{path}' if has_registry else container.repository}:sha256:{container.digest}"
