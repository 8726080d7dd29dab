"""How a program is started: on this machine or on every node of the job, bare or in a container.

The runner itself stays outside, in the workflow's environment: it checks, seals and stores; only the program goes
inside. So an image needs nothing of this layer, and apptainer and pyxis are two spellings of one thing.

Everything here is a function of its arguments (and of which image files there are). No variable's value stands on a
command line, where every user of the machine could read it.
"""

import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tapeout.graph import node
from tapeout.graph.container import Container
from tapeout.graph.environment import Environment
from tapeout.graph.errors import GraphError

BARE, APPTAINER, PYXIS = "bare", "apptainer", "pyxis"
RUNTIMES = (BARE, APPTAINER, PYXIS)
PULL = {
    APPTAINER: ("sif", "apptainer pull {file} docker://{pinned}"),
    PYXIS: ("sqsh", "enroot import --output {file} docker://{enroot}"),
}
"""Of an image that the site keeps as a file: the file's suffix, and how it is pulled."""

NOT_INSIDE = ("PATH", "HOME", "LD_LIBRARY_PATH", "SSL_", "REQUESTS_CA_BUNDLE", "PYTHONPATH")
"""Variables that name places of the host: a container has its own."""
RUNTIME = ("PATH", "HOME", "USER", "XDG_", "http", "https", "HTTP", "no_proxy", "NO_PROXY", "ENROOT_", "SLURM_CONF")
RUNTIME_APPTAINER = tuple(
    f"APPTAINER_{name}" for name in ("CACHEDIR", "TMPDIR", "CONFIGDIR", "DOCKER_USERNAME", "DOCKER_PASSWORD")
)
"""Variables that the runtime needs to find its files and its registry; of these the program sees none."""
JOB = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CONF", "SLURM_CLUSTER_NAME", "SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST")
"""What a new step must know of its job; Slurm's other variables describe the step that asks, and would change it."""
FIRST_PORT, PORTS = 20000, 10000


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

    def as_json(self) -> dict[str, Any]:
        """JSON values for the plan file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Launch":
        """The inverse of ``as_json``."""
        return cls(**{**value, "mounts": tuple(value["mounts"])})

    def require(self, environment: Environment | Container) -> None:
        """Raises ``MissingEnvironment`` or ``MissingRuntime`` if nothing can be started in ``environment`` here."""
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
        gpus: GPUs that it computes on, on all nodes together.
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
        return self.nodes > 1 and "SLURM_JOB_ID" in caller


@dataclass(frozen=True)
class Start:
    """A command ready to run; ``stopped`` is a mark that one of several nodes leaves when it stopped to go on later."""

    command: list[str]
    variables: dict[str, str]
    stopped: Path | None = None

    def require(self) -> None:
        """Raises ``MissingRuntime`` if there is no such command on this machine; takes away an earlier mark."""
        if shutil.which(self.command[0], path=self.variables.get("PATH")) is None:
            raise MissingRuntime(
                f"There is no {self.command[0]} on {socket.gethostname()}.",
                "Install it there, or correct container.runtime in config/site.yaml.",
            )
        if self.stopped is not None:
            self.stopped.unlink(missing_ok=True)

    def status(self, status: int) -> int:
        """The program's exit status, given that of the command."""
        return node.STOPPED if status == 0 and self.stopped is not None and self.stopped.exists() else status


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
    spread = program.spread(caller)
    variables = dict(program.variables)
    stopped = program.scratch / "stopped" if spread else None
    if spread:
        variables |= {"TAPEOUT_NODES": str(program.nodes), "TAPEOUT_RENDEZVOUS": rendezvous}
    environment = program.environment
    if isinstance(environment, Environment):
        command = [str(environment.python), *program.command]
        if not spread:
            return Start(command, variables)
        wrapped = [*srun(program.nodes), "--export=ALL", *_on_each_node(sys.executable, stopped), *command]
        return Start(wrapped, _of_job(variables), stopped)
    launch.require(environment)
    variables = {name: value for name, value in variables.items() if not name.startswith(NOT_INSIDE)}
    variables |= {node.CODE: str(Path.cwd()), "PYTHONNOUSERSITE": "1"}
    inner = [*_on_each_node(environment.python, stopped), environment.python, *program.command]
    if launch.runtime == APPTAINER:
        return _apptainer(launch, program, environment, variables, inner, caller, stopped)
    return _pyxis(launch, program, environment, variables, inner, caller, stopped)


def srun(nodes: int) -> list[str]:
    """A step with one task on each of ``nodes`` nodes, within the job, beside the step that asks for it.

    ``--overlap``: the runner's own step holds all of the job's CPUs, memory and GPUs. Each task gets all CPUs of the
    job on its node, unbound: the program starts one process a GPU there, which share them.
    """
    count = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return ["srun", *count, "--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1"]


def port(job: str) -> int:
    """The port at which the nodes of a job meet: below the ports that systems give away, and another for each job."""
    return FIRST_PORT + int(job) % PORTS


def of_step(caller: Mapping[str, str]) -> dict[str, str]:
    """Variables for a helper's own step within the job."""
    return _of_job({name: value for name, value in caller.items() if name.startswith((*RUNTIME, "SLURM_"))})


def _of_job(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables for a new step: of Slurm's only those of the job; each task gets those of the new step from Slurm."""
    return {name: value for name, value in variables.items() if name in JOB or not name.startswith("SLURM_")}


def _on_each_node(python: str, stopped: Path | None) -> list[str]:
    mark = ["--stopped", str(stopped)] if stopped is not None else []
    return [python, "-I", node.__file__, "start", *mark, "--"]


def _apptainer(
    launch: Launch,
    program: Program,
    container: Container,
    variables: dict[str, str],
    inner: list[str],
    caller: Mapping[str, str],
    stopped: Path | None,
) -> Start:
    binds = [option for mount in _mounts(launch, program) for option in ("--bind", mount)]
    image = _file(launch, container) or f"docker://{container.pinned}"
    gpus = ["--nv"] if program.gpus else []
    options = ["--cleanenv", "--no-home", *gpus, *binds, "--pwd", str(Path.cwd())]
    command = ["apptainer", "exec", *options, image, *inner]
    host = {name: value for name, value in caller.items() if name.startswith((*RUNTIME, *RUNTIME_APPTAINER))}
    if stopped is None:
        inside = {f"{node.INTO_APPTAINER}{name}": value for name, value in variables.items()}
        return Start(command, host | inside)
    # what Slurm tells each task of itself is known on its node alone
    inside = {f"{node.INTO_APPTAINER}{name}": value for name, value in _of_job(variables).items()}
    outer = [*srun(program.nodes), "--export=ALL", sys.executable, "-I", node.__file__, "apptainer", "--"]
    job = {name: value for name, value in caller.items() if name in JOB}
    return Start([*outer, *command], host | job | inside, stopped)


def _pyxis(
    launch: Launch,
    program: Program,
    container: Container,
    variables: dict[str, str],
    inner: list[str],
    caller: Mapping[str, str],
    stopped: Path | None,
) -> Start:
    if "SLURM_JOB_ID" not in caller:
        raise MissingRuntime(
            "The runtime pyxis starts containers within a Slurm job, and this run is in none.",
            "Run with --profile slurm, or set container.runtime in config/site.yaml to apptainer.",
        )
    host = {name: value for name, value in caller.items() if name.startswith(RUNTIME) or name in JOB}
    own = _of_job(variables)
    inside = sorted(name for name in own if name not in JOB)
    image = _file(launch, container) or enroot_name(container)
    options = [
        f"--container-image={image}",
        f"--container-mounts={','.join(_both(mount) for mount in _mounts(launch, program))}",
        f"--container-workdir={Path.cwd()}",
        "--no-container-mount-home",
        f"--container-env={','.join(inside)}",  # these win over the image's own
    ]
    exported = f"--export={','.join(sorted({*inside, *host}))}"
    nodes = program.nodes if stopped is not None else 1
    return Start([*srun(nodes), *options, exported, *inner], own | host, stopped)


def enroot_name(container: Container) -> str:
    """An image as enroot knows it, ``REGISTRY#REPOSITORY:sha256:DIGEST``.

    The digest stands where a tag would: ``@sha256:`` is read by enroot from version 4 on alone, this by all.
    """
    registry, _, path = container.repository.partition("/")
    outside = path and ("." in registry or ":" in registry or registry == "localhost")
    return f"{f'{registry}#{path}' if outside else container.repository}:sha256:{container.digest}"


def _file(launch: Launch, container: Container) -> str:
    """The image's file in the site's folder; empty if the site has none."""
    if not launch.images:
        return ""
    suffix, pull = PULL[launch.runtime]
    file = Path(launch.images) / f"sha256-{container.digest}.{suffix}"
    if not file.is_file():
        how = pull.format(file=file, pinned=container.pinned, enroot=enroot_name(container))
        raise MissingImage(f"The image {container.pinned} is not in {launch.images}.", f"Run: {how}")
    return str(file)


def _mounts(launch: Launch, program: Program) -> list[str]:
    """The project's folder, the real places of what it links to, and what the site adds."""
    folders: list[str] = []
    for folder in (Path.cwd(), *program.folders):
        place = str(folder.resolve())
        if any(sign in place for sign in ",:"):
            raise UnusablePath(f"The folder {place} has a comma or a colon in its name.", "Give it another name.")
        if not any(Path(place).is_relative_to(known) for known in folders):
            folders.append(place)
    return [*folders, *launch.mounts]


def _both(mount: str) -> str:
    """A mount with its two sides."""
    return mount if ":" in mount else f"{mount}:{mount}"
