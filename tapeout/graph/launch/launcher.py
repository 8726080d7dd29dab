"""How a program is started: on this machine or on every node of the job, bare or in a container.

The runner itself stays outside, in the workflow's environment: it checks, seals and stores; only the program goes
inside. So an image needs nothing of this layer, and apptainer and pyxis are two spellings of one thing.

Everything here is a function of its arguments (and of which image files there are). No variable's value stands on a
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

from tapeout.graph.errors import GraphError
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.environment import Environment
from tapeout.graph.launch import node_agent
from tapeout.slurm.allocation import SUBMITTED

BARE, APPTAINER, PYXIS = "bare", "apptainer", "pyxis"
SRUN = "srun"
RUNTIMES = (BARE, APPTAINER, PYXIS)
PULL = {
    APPTAINER: ("sif", "apptainer pull {file} docker://{pinned}"),
    PYXIS: ("sqsh", "enroot import --output {file} docker://{enroot}"),
}
"""Of an image that the site keeps as a file: the file's suffix, and how it is pulled."""

NOT_INSIDE = ("PATH", "HOME", "LD_LIBRARY_PATH", "SSL_", "REQUESTS_CA_BUNDLE", "HTTPLIB2_", "PYTHONPATH")
"""Variables that name places of the host: a container has its own."""
RUNTIME = ("PATH", "HOME", "USER", "XDG_", "http", "https", "HTTP", "no_proxy", "NO_PROXY", "ENROOT_")
OF_APPTAINER = ("CACHEDIR", "TMPDIR", "CONFIGDIR", "DOCKER_USERNAME", "DOCKER_PASSWORD")
"""What the runtime itself needs, to find its files and its registry."""
JOB = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CONF", "SLURM_CLUSTER_NAME", "SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST")
"""What a new step must know of its job; Slurm's other variables describe the step that asks, and would change it."""
FIRST_PORT, PORTS = 10000, 10000


class MissingRuntime(GraphError):
    """A step's container cannot be started: nothing says how, or the runtime is not there."""


class MissingImage(GraphError):
    """The site keeps images as files, and the one that is wanted is not among them."""


class UnusablePath(GraphError):
    """A folder's name has a meaning to the container runtime."""


@dataclass(frozen=True)
class Launch:
    """How this site starts programs.

    Attributes:
        runtime: of ``RUNTIMES``.
        mounts: more folders that a container sees, as ``PATH`` or ``OUTSIDE:INSIDE[:FLAGS]``.
        images: folder of images that the site has pulled, ``sha256-DIGEST.sif`` (or ``.sqsh``); empty: the runtime
            pulls them itself.
    """

    runtime: str = BARE
    mounts: tuple[str, ...] = ()
    images: str = ""

    def __post_init__(self) -> None:
        """Raises ``MissingRuntime`` for a runtime that nobody knows."""
        if self.runtime not in RUNTIMES:
            raise MissingRuntime(
                f"There is no container runtime {self.runtime}.",
                f"Set container.runtime in config/site.yaml to one of {', '.join(RUNTIMES)}.",
            )

    def as_json(self) -> dict[str, Any]:
        """JSON values for the plan file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Launch":
        """The inverse of ``as_json``."""
        return cls(**{**value, "mounts": tuple(value["mounts"])})

    def require(self, environment: Environment | Container) -> None:
        """Raises ``InvalidEnvironment`` or ``MissingRuntime`` if nothing can be started in ``environment`` here."""
        if isinstance(environment, Environment):
            environment.require()
        elif self.runtime == BARE:
            raise MissingRuntime(
                f"A step runs in the container {environment.pinned}, and nothing says how this site starts containers.",
                "Set container.runtime in config/site.yaml to apptainer or pyxis.",
            )


@dataclass(frozen=True)
class Program:
    """What is to be started, and what it may see.

    Attributes:
        command: script and options, without the interpreter.
        environment: what it runs in.
        variables: its own, by name.
        folders: those that it reads and writes.
        nodes: nodes that it is to run on.
        gpus: GPUs that it computes on, on each node.
        scratch: folder of its own, on a file system that all nodes share.
    """

    command: tuple[str, ...]
    environment: Environment | Container
    variables: dict[str, str]
    folders: tuple[Path, ...]
    scratch: Path
    nodes: int = 1
    gpus: int = 0

    def spread(self, caller: Mapping[str, str]) -> bool:
        """Whether it is started once on each of several nodes; outside a job one start makes all its processes."""
        return self.nodes > 1 and SUBMITTED in caller and "SLURM_JOB_ID" in caller


@dataclass(frozen=True)
class Start:
    """A command ready to run; ``stopped`` is a mark that one of several nodes leaves when it stopped to go on later."""

    command: list[str]
    variables: dict[str, str]
    stopped: Path | None = None

    def require(self) -> None:
        """Raises ``MissingRuntime`` if there is no such command on this machine; takes away an earlier mark."""
        # a path is that of an environment, which has been looked for
        command = self.command[0]
        if "/" not in command and shutil.which(command, path=self.variables.get("PATH")) is None:
            raise MissingRuntime(
                f"There is no {command} on {socket.gethostname()}.",
                "Install it there, or correct container.runtime in config/site.yaml.",
            )
        if self.stopped is not None:
            self.stopped.unlink(missing_ok=True)

    @property
    def signal(self) -> signal.Signals:
        """What asks the program to stop: srun passes SIGUSR1 on to it, but kills it on SIGTERM."""
        return signal.SIGUSR1 if self.command[0] == SRUN else signal.SIGTERM

    def status(self, status: int) -> int:
        """The program's exit status, given that of the command."""
        return node_agent.STOPPED if status == 0 and self.stopped is not None and self.stopped.exists() else status


def start(launch: Launch, program: Program, caller: Mapping[str, str], rendezvous: str = "") -> Start:
    """How to start a program.

    Args:
        launch: how this site does.
        program: what.
        caller: the variables of the process that asks: whether it is in a job, and where runtimes find their files.
        rendezvous: ``host:port`` where the processes of several nodes meet.

    Raises:
        MissingRuntime: nothing says how to start its container, or pyxis is wanted outside a job.
        MissingImage: the site's folder of images lacks the one that is wanted.
        UnusablePath: a folder to be mounted has a comma or a colon in its name.
    """
    environment, spread = program.environment, program.spread(caller)
    variables = program.variables | {"TMPDIR": str(program.scratch / "tmp")}  # under it each node makes its own
    if spread:
        variables |= {"TAPEOUT_NODES": str(program.nodes), "TAPEOUT_RENDEZVOUS": rendezvous}
    stopped = program.scratch / "stopped" if spread else None
    if not isinstance(environment, Environment):
        launch.require(environment)
        contained = Contained(launch, program, environment, variables, caller, stopped)
        return contained.by_apptainer() if launch.runtime == APPTAINER else contained.by_pyxis()
    command = [str(environment.python), *program.command]
    if not spread:
        return Start(command, program.variables)
    wrapped = [*srun(program.nodes), "--export=ALL", *on_node(sys.executable, stopped), *command]
    return Start(wrapped, of_job(variables), stopped)


def srun(nodes: int) -> list[str]:
    """A step with one task on each of ``nodes`` nodes, within the job, beside the step that asks for it.

    ``--overlap``: the runner's own step holds all of the job's CPUs, memory and GPUs. Each task gets all CPUs of the
    job on its node, unbound: the program starts one process a GPU there, which share them.
    """
    count = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return [SRUN, *count, "--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1"]


def port(job: str) -> int:
    """The port at which the nodes of a job meet: below the ports that systems give away, and another for each job."""
    return FIRST_PORT + int(job) % PORTS


def of_job(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables for a new step of the job: each of its tasks gets those of its own from Slurm."""
    return {name: value for name, value in variables.items() if name in JOB or not name.startswith(node_agent.OF_TASK)}


def on_node(python: str, stopped: Path | None) -> list[str]:
    """The last link before the program, on each node and inside its container."""
    mark = ["--stopped", str(stopped)] if stopped is not None else []
    return [python, "-I", node_agent.__file__, "start", *mark, "--"]


def taken(caller: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """The caller's variables whose names begin so."""
    return {name: value for name, value in caller.items() if name.startswith(prefixes)}


@dataclass(frozen=True)
class Contained:
    """A program that is started in a container; the fields are the arguments and results of ``start``."""

    launch: Launch
    program: Program
    container: Container
    variables: dict[str, str]
    caller: Mapping[str, str]
    stopped: Path | None

    @property
    def inside(self) -> dict[str, str]:
        """What the program sees beside the image's own variables."""
        kept = {name: value for name, value in self.variables.items() if not name.startswith(NOT_INSIDE)}
        return kept | {node_agent.CODE: str(Path.cwd()), "PYTHONNOUSERSITE": "1"}

    @property
    def command(self) -> list[str]:
        """What is run inside."""
        python = self.container.python
        return [*on_node(python, self.stopped), python, *self.program.command]

    @property
    def mounts(self) -> list[str]:
        """The project's folder, the real places of what it links to, and what the site adds."""
        folders: list[str] = []
        for folder in (Path.cwd(), *self.program.folders):
            place = str(folder.resolve())
            if any(sign in place for sign in ",:"):
                raise UnusablePath(f"The folder {place} has a comma or a colon in its name.", "Give it another name.")
            if not any(Path(place).is_relative_to(known) for known in folders):
                folders.append(place)
        return [*folders, *self.launch.mounts]

    @property
    def file(self) -> str:
        """The image's file in the site's folder; empty if the site has no such folder."""
        if not self.launch.images:
            return ""
        suffix, pull = PULL[self.launch.runtime]
        file = Path(self.launch.images) / f"sha256-{self.container.digest}.{suffix}"
        if not file.is_file():
            how = pull.format(file=file, pinned=self.container.pinned, enroot=enroot_name(self.container))
            raise MissingImage(f"The image {self.container.pinned} is not in {self.launch.images}.", f"Run: {how}")
        return str(file)

    def by_apptainer(self) -> Start:
        """Apptainer on this machine, or on each node by srun."""
        host = taken(self.caller, *RUNTIME, *(f"APPTAINER_{name}" for name in OF_APPTAINER))
        binds = [option for mount in self.mounts for option in ("--bind", mount)]
        gpus = ["--nv"] if self.program.gpus else []
        image = self.file or f"docker://{self.container.pinned}"
        options = ["--cleanenv", "--no-home", *gpus, *binds, "--pwd", str(Path.cwd()), image]
        command = ["apptainer", "exec", *options, *self.command]
        inside = self.inside if self.stopped is None else of_job(self.inside)
        variables = host | {f"{node_agent.INTO_APPTAINER}{name}": value for name, value in inside.items()}
        if self.stopped is None:
            return Start(command, variables)
        outer = [
            *srun(self.program.nodes),
            "--export=ALL",
            sys.executable,
            "-I",
            node_agent.__file__,
            "apptainer",
            "--",
        ]
        return Start([*outer, *command], variables | taken(self.caller, *JOB), self.stopped)

    def by_pyxis(self) -> Start:
        """Pyxis, which is a part of srun: a step of the job on one node or several."""
        if "SLURM_JOB_ID" not in self.caller:
            raise MissingRuntime(
                "The runtime pyxis starts containers within a Slurm job, and this run is in none.",
                "Run with --profile slurm, or set container.runtime in config/site.yaml to apptainer.",
            )
        host = taken(self.caller, *RUNTIME, *JOB)
        inside = {name: value for name, value in of_job(self.inside).items() if name not in JOB}
        mounts = [mount if ":" in mount else f"{mount}:{mount}" for mount in self.mounts]
        options = [
            f"--container-image={self.file or enroot_name(self.container)}",
            f"--container-mounts={','.join(mounts)}",
            f"--container-workdir={Path.cwd()}",
            "--no-container-mount-home",
            f"--container-env={','.join(sorted(inside))}",  # these win over the image's own
            f"--export={','.join(sorted({*inside, *host}))}",
        ]
        nodes = self.program.nodes if self.stopped is not None else 1
        return Start([*srun(nodes), *options, *self.command], host | inside, self.stopped)


def enroot_name(container: Container) -> str:
    """An image as enroot knows it, ``REGISTRY#REPOSITORY:sha256:DIGEST``.

    The digest stands where a tag would: ``@sha256:`` is read by enroot from version 4 on alone, this by all.
    """
    registry, _, path = container.repository.partition("/")
    outside = path and ("." in registry or ":" in registry or registry == "localhost")
    return f"{f'{registry}#{path}' if outside else container.repository}:sha256:{container.digest}"
