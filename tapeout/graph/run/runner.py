"""What a rule's shell command runs: one build step, from verified inputs to a sealed artifact.

``python -m tapeout.graph.run.runner SCRIPT MARK THREADS LOG``. The step's program runs in a scratch folder that is named
by the action digest, with an environment reduced to what it may depend on. Its output is taken into the store, linked
into ``results/`` and only then vouched for; killed anywhere, nothing half-made is ever accepted.
"""

import argparse
import contextlib
import ctypes
import errno
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

from tapeout.graph.console import FIX, format_duration, format_size, print_line
from tapeout.graph.errors import GraphError, InputChanged, StepFailed
from tapeout.graph.files import report_disk_full, retry_until_visible
from tapeout.graph.identity.action import Action, Recipe, Reference
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.container import Container, environment_of
from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.environment import Environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch.launcher import Launch, Program, Start, start
from tapeout.graph.launch.node_check import rendezvous
from tapeout.graph.launch.offline import cut_off
from tapeout.graph.launch.stopping import Stopper
from tapeout.graph.plan.explain import keep_meanings
from tapeout.graph.plan.rates import computed_on
from tapeout.graph.run.contention import alone
from tapeout.graph.run.run_record import RUN
from tapeout.graph.run.step_progress import Live, before, noted
from tapeout.graph.workspace import State, Workspace

PASSED_ON = (
    *("SLURM_", "NCCL_SOCKET_", "NCCL_IB_", "NCCL_NET", "NCCL_DEBUG", "GLOO_SOCKET_"),
    *("http", "https", "HTTP", "no_proxy", "NO_PROXY"),
)
PASSED_ON_NAMES = {
    *("PATH", "HOME", "USER", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "TAPEOUT_STORE", "TAPEOUT_DOWNLOADS"),
    *("HF_TOKEN", "HF_ENDPOINT", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    "TAPEOUT_CHECKPOINT_SECONDS",
}
"""What a program may see of the caller's variables: where things are and who asks, nothing that decides bytes."""
AFTER = "after_"
"""Inputs of such a name must be there before the program runs, and are no business of its own: a probe's verdict."""
LINES_OF_LOG = 15
BY_SLURM = ("srun: ", "slurmstepd-")
"""What Slurm adds when a task has ended, after the program's own last word."""


@dataclass(frozen=True)
class Step:
    """One build step about to run."""

    workspace: Workspace
    recipe: Recipe
    action: Action
    threads: int
    log: Path
    offline: bool = False
    """Whether the program is kept from every network but its own loopback."""
    launch: Launch = field(default_factory=Launch)
    """How this site starts programs."""

    @property
    def scratch(self) -> Path:
        """The step's own folder, named by its action, so that no other action ever resumes from it."""
        return (self.workspace.work / self.action.digest).absolute()

    @property
    def stop(self) -> Path:
        """The file by which the program is asked to save its state and end."""
        return self.scratch / "stop"

    @cached_property
    def output(self) -> Path:
        """Where this attempt's program writes: nowhere that what is left of an earlier attempt could write to."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="output.", dir=self.scratch)) / Path(self.recipe.artifact).name

    @cached_property
    def packages(self) -> Environment | Container:
        """The environment that the program runs in."""
        return environment_of(self.recipe)

    def input_path(self, reference: Reference) -> Path:
        """Where an input lies."""
        return self.workspace.artifact_path(reference.artifact) / reference.path

    def command(self) -> list[str]:
        """The program and its options: one an input, the parameters as a file, the output."""
        options: list[str] = []
        for name, value in sorted(self.recipe.inputs.items()):
            references = value if isinstance(value, list) else [value]
            for reference in references if not name.startswith(AFTER) else []:
                options += [f"--{name.replace('_', '-')}", str(self.input_path(reference))]
        return [
            *(self.recipe.script, *options),
            *("--params", str(self.scratch / "params.json"), "--output", str(self.output)),
        ]

    def start(self, temporary: Path) -> Start:
        """How the program is started, here or on the nodes of the job; these are looked at first.

        Raises:
            BrokenNode, MissingRuntime, MissingImage, UnusablePath: it cannot be.
        """
        nodes, gpus = int(self.recipe.resources.get("nodes") or 1), computed_on(self.recipe.resources)
        folders = tuple(path.absolute() for path in (self.workspace.work, self.workspace.results))
        command, variables = tuple(self.command()), self.environment(temporary)
        program = Program(command, self.packages, variables, folders, self.scratch, nodes, gpus)
        if not program.spread(os.environ):
            return start(self.launch, program, os.environ)
        action = self.workspace.action_path(self.recipe.artifact)
        meeting = rendezvous(nodes, action, self.action.digest, gpus, os.environ)
        return start(self.launch, program, os.environ, meeting)

    def environment(self, temporary: Path) -> dict[str, str]:
        """The variables that the program sees; ``temporary`` is a folder that is its own."""
        kept = {
            name: value for name, value in os.environ.items() if name in PASSED_ON_NAMES or name.startswith(PASSED_ON)
        }
        return kept | {
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONHASHSEED": "0",
            "PYTHONSAFEPATH": "1",  # a script's neighbours are no modules: its code closure does not look there
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "TMPDIR": str(temporary),
            "TAPEOUT_RUNNER": "1",
            "TAPEOUT_PLUGINS": ",".join(self.recipe.plugins),
            "TAPEOUT_THREADS": str(self.threads),
            "TAPEOUT_STATE": str(self.scratch / "state"),
            "TAPEOUT_STOP": str(self.stop),
            "TAPEOUT_ACTION": str(self.workspace.action_path(self.recipe.artifact).absolute()),
        }

    def check_code(self) -> None:
        """Raises ``InputChanged`` unless program, modules and environment are what the action says."""
        action = self.action.value
        same = closure(Path(self.recipe.script), Path(), self.recipe.plugins) == action["code"]
        if not same or environment_of(self.recipe).digest != action["environment"]["digest"]:
            raise InputChanged(
                f"The code or the environment of {self.recipe.artifact} was edited while the run was under way.",
                "Nothing was stored; run again. To edit freely during a long run, run from a clone of its own.",
            )

    def check_inputs(self, manifests: dict[str, Manifest]) -> None:
        """Raises ``InputChanged`` unless every input is what its manifest says."""
        for name, manifest in manifests.items():
            if not manifest.matches(self.workspace.artifact_path(name)):
                raise InputChanged(
                    f"Artifact {name}, an input of {self.recipe.artifact}, is not what its manifest says.",
                    "Nothing was stored; run again and it is restored or rebuilt.",
                )


def build(step: Step, forced: bool) -> str:
    """Build an artifact, or take it from the store if it is there; returns what was done, for the user.

    Raises:
        InputChanged: an input is not what the action says, before or after the program ran.
        InputChanged: the same of its code.
        StepFailed: the program ended with an error.
        StepFailed: it ended well and wrote nothing.
    """
    workspace, name = step.workspace, step.recipe.artifact
    alone(workspace.store, step.action.digest, name)
    with workspace.store.lock_action(step.action.digest):
        with workspace.lock_decisions():
            _superseded(step)
            if not forced and workspace.restore(step.action) is State.CURRENT:
                workspace.mark_sealed(name)
                return "already in the store"
        manifest, seconds = perform(step)
        said = f"{format_duration(seconds)}  {format_size(manifest.size)}  sha256:{manifest.digest()[:16]}"
        with workspace.store.in_use():
            known = workspace.store.find(step.action.digest)
            if known is not None and workspace.store.verify_objects(known):
                said += _compared(step, known, manifest)
                manifest = known
            else:
                if workspace.remote is not None:
                    workspace.remote.queue_push(step.action.digest)
                workspace.store.seal(step.action, manifest, step.output)
        keep_meanings(workspace.store, step.recipe, step.packages)
        with workspace.lock_decisions(), workspace.store.in_use():  # not collected meanwhile: the action is locked
            _superseded(step)
            workspace.publish(manifest)
            workspace.mark_sealed(name)
        workspace.store.append_journal(
            {
                "artifact": name,
                "rule": step.recipe.rule,
                "recipe": step.recipe.cost_key,
                "action": step.action.digest,
                "digest": manifest.digest(),
                "seconds": round(seconds, 2),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "cores": os.cpu_count() or 1,
                "machine": platform.machine(),
                "threads": step.threads,
                "resources": step.recipe.resources,
                "run": os.environ.get(RUN, ""),
                "job": os.environ.get("SLURM_JOB_ID", ""),
            }
        )
    shutil.rmtree(step.scratch, ignore_errors=True)
    return said


def perform(step: Step) -> tuple[Manifest, float]:
    """Run a step's program; returns the manifest of what it wrote into ``step.output``, and how many seconds it took.

    Raises:
        InputChanged, InputChanged, StepFailed, StepFailed: see ``build``.
    """
    manifests = _manifests(step)
    step.check_inputs(manifests)
    step.check_code()
    for old in step.scratch.glob("output.*"):
        shutil.rmtree(old, ignore_errors=True)
    for folder in ("tmp", "state"):
        (step.scratch / folder).mkdir(parents=True, exist_ok=True)
    (step.scratch / "params.json").write_bytes(canonical(step.recipe.params))
    started = time.monotonic() - before(step.scratch)
    _run(step)
    seconds = time.monotonic() - started
    step.check_inputs(manifests)
    step.check_code()
    manifest = Manifest.of(step.output, step.recipe.artifact, step.action.digest) if step.output.exists() else None
    if manifest is None or not manifest.entries:
        raise StepFailed(f"{step.recipe.script} ended well but wrote nothing.", f"Read {step.log}.")
    return manifest, seconds


def _ready(workspace: Workspace, artifact: str, threads: int, log: Path) -> tuple[Step, bool]:
    """The step of an artifact, whose inputs are all there, and whether it is forced.

    Raises:
        UnknownName, UnreadableState, InputChanged: plan, action or inputs are not what they should be, or not yet.
    """
    recipe, forced = workspace.read_recipe(artifact)
    step = Step(workspace, recipe, workspace.action(artifact), threads, log, launch=workspace.read_launch())
    step.check_inputs(_manifests(step))
    return step, forced


def _superseded(step: Step) -> None:
    """Raises ``InputChanged`` if another run has given the artifact another action: it is not to be touched then."""
    if step.workspace.action(step.recipe.artifact).digest != step.action.digest:
        raise InputChanged(
            f"Another run has given {step.recipe.artifact} another action since this step began.",
            "Run Snakemake again.",
        )


def _manifests(step: Step) -> dict[str, Manifest]:
    """Manifests of the inputs; the action made from them must be the one that is to be carried out."""
    manifests = {}
    for needed in step.recipe.dependencies():
        manifest = step.workspace.manifest(needed)
        if manifest is None:
            raise InputChanged(f"Artifact {needed} has lost its manifest.", "Run Snakemake again.")
        manifests[needed] = manifest
    if step.recipe.action(manifests.__getitem__).digest != step.action.digest:
        raise InputChanged(
            f"The inputs of {step.recipe.artifact} changed since its action was resolved.", "Run Snakemake again."
        )
    return manifests


def _compared(step: Step, known: Manifest, manifest: Manifest) -> str:
    """What a forced rebuild showed; a differing result is kept beside the one in the store."""
    if known.digest() == manifest.digest():
        return "  identical to the one in the store"
    kept = step.workspace.work / "differing" / step.action.digest / step.output.name
    shutil.rmtree(kept.parent, ignore_errors=True)
    kept.parent.mkdir(parents=True)
    shutil.move(step.output, kept)
    return f"  DIFFERS from the one in the store (kept); the new one is {kept}"


def _run(step: Step) -> None:
    """Run the program; its words go to the log, its progress also to the terminal."""
    step.log.parent.mkdir(parents=True, exist_ok=True)
    mode = "a" if (step.scratch / "restarts").exists() else "w"  # one log of all that one job did
    short_folder, stopping = tempfile.TemporaryDirectory(prefix="tapeout-"), Stopper(step.stop)
    with stopping as stopper, short_folder as short, open(step.log, mode) as log:
        # a short name for a folder on the run's own disk: sockets' paths may have 108 characters
        temporary = Path(short) / "t"
        temporary.symlink_to(step.scratch / "tmp")
        started = step.start(temporary)
        started.require()
        process = subprocess.Popen(
            started.command,
            env=started.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=partial(_die_with_parent, os.getpid(), step.offline),
        )
        stopper.watch(process, started.signal)
        live = Live(step.recipe.artifact, step.scratch)
        try:
            for line in process.stdout or ():
                if not live.show(line):
                    log.write(line)
                    log.flush()
            status = started.status(process.wait())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the program's own children, if any are left
            process.wait()
    stopper.after(step.recipe.artifact, step.recipe.script, status, step.scratch)
    if status:
        raise _failure(step, status)


def _die_with_parent(parent: int, offline: bool) -> None:
    """In the child: end when the runner is killed, so that no orphan writes into a scratch folder in use."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the runner was killed before it could be asked for
    if offline:
        cut_off()


def _ending(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _failure(step: Step, status: int) -> StepFailed:
    """The named error that the program printed last, or how it ended and the end of its log."""
    said = step.log.read_text(errors="replace").rstrip().splitlines()
    lines = [line for line in said if not line.startswith(BY_SLURM)]
    if lines and f"[Errno {errno.ENOSPC}]" in lines[-1]:
        return StepFailed(f"No space is left on the device: {lines[-1]}.", "Free some space and run again.")
    if len(lines) >= 2 and lines[-1].startswith(FIX):
        return StepFailed(lines[-2], lines[-1].removeprefix(FIX))
    end = "\n".join(f"    | {line}" for line in said[-LINES_OF_LOG:])
    return StepFailed(f"{step.recipe.script} {_ending(status)}.", f"Read the log {step.log}, which ends:\n{end}")


def main() -> None:
    """Build one artifact."""
    parser = argparse.ArgumentParser(prog="python -m tapeout.graph.run.runner", description=main.__doc__)
    parser.add_argument("script", help="for the reader of a process list; the recipe has the same")
    parser.add_argument("mark", type=Path, help="the mark that the rule declares as its output")
    parser.add_argument("threads", type=int)
    parser.add_argument("log", type=Path)
    arguments = parser.parse_args()
    workspace = Workspace.here()
    artifact = arguments.mark.relative_to(workspace.graph).as_posix().removesuffix(".sealed")
    try:
        step, forced = retry_until_visible(lambda: _ready(workspace, artifact, arguments.threads, arguments.log))
        step.launch.require(step.packages)
        print_line(f"+ {artifact}  {'built again' if forced else 'building'}  log: {arguments.log}")
        with noted(step.scratch), report_disk_full():
            said = build(step, forced)
        print_line(f"✓ {artifact}  {said}")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if workspace.remote is not None:
            workspace.remote.push_queued(step.action.digest)
    except GraphError as error:
        print_line(f"✗ {artifact}  {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
