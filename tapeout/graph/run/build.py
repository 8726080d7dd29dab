"""Execute one build step, from verified inputs to a stored artifact.

The program runs in a scratch folder that is named by the action digest, with only the environment variables that it
may depend on. Its output is moved into the store, linked into ``results/``, and only then gets a manifest: wherever
this process is killed, no partial result is ever accepted.
"""

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.graph.console import FIX, format_duration, format_size, print_line
from tapeout.graph.deletion import delete
from tapeout.graph.disk_space import disk_full_in
from tapeout.graph.files import error_in, only_regular, read_file, written_file
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch.node_agent import HOME
from tapeout.graph.launch.output import output_lines
from tapeout.graph.launch.process import die_with_parent
from tapeout.graph.launch.sandbox import MARK
from tapeout.graph.launch.stopping import Stopper
from tapeout.graph.plan.explain import record_definitions
from tapeout.graph.run.forwarding import Forwarding
from tapeout.graph.run.host_paths import HostPaths, hidden
from tapeout.graph.run.inputs import Inputs
from tapeout.graph.run.progress import PROGRESS, StepProgress, earlier_seconds
from tapeout.graph.run.run_record import RUN
from tapeout.graph.run.step import Step
from tapeout.graph.run.surroundings import STATE
from tapeout.graph.store.second_builds import SecondBuild, note
from tapeout.graph.store.store import Store
from tapeout.graph.store.trust import sha256
from tapeout.graph.workspace import State, Workspace
from tapeout.namespaces import unshare
from tapeout.program import StepFailed
from tapeout.slurm.allocation import Allocation
from tapeout.visible import visible

MAX_LOG_LINES = 15
SLURM_PREFIXES = ("srun: ", "slurmstepd-")
"""Prefixes of lines that Slurm adds to the log after the program's own last line."""
MAX_CONTENTION_WAIT = 120
"""Seconds that a cluster job waits for another builder of its artifact: so long may a shared file system take to
release the lock of a dead node."""
SECONDS_BETWEEN_CHECKS = 2.0
KEPT_FILES = (PROGRESS, "restarts", "stopped")
"""Files of the scratch folder that are about all attempts."""


def build(step: Step, forced: bool) -> str:
    """Build an artifact, or restore it if the store has it; return what was done, for the user.

    Args:
        step: the step.
        forced: build it even if the store has it, and compare.

    Raises:
        InputChanged: an input or the code does not match the action, before or after the program ran.
        StepFailed: the program ended with an error or wrote nothing.
        StepStopped: the program was stopped on request.
    """
    workspace, name = step.workspace, step.recipe.artifact
    _wait_for_other_builder(workspace.store, step.action.digest, name)
    with workspace.store.lock_action(step.action.digest):
        with workspace.lock_decisions():
            step.check_current()
            if not forced and workspace.restore(step.action) is State.CURRENT:
                workspace.mark_sealed(name)
                return "already in the store"
        with Forwarding(step), Stopper(step.stop_file) as stopper:
            manifest, seconds = execute(step, stopper)
            return _store(step, manifest, seconds)


def _store(step: Step, manifest: Manifest, seconds: float) -> str:
    """Store and publish the output of a step; return what was done, for the user."""
    workspace, name = step.workspace, step.recipe.artifact
    result = f"{format_duration(seconds)}  {format_size(manifest.size)}  sha256:{manifest.digest()[:16]}"
    with workspace.store.in_use():
        known = workspace.store.find(step.action.digest)
        if known is not None and workspace.store.verify_objects(known):
            result += _compare(step, known, manifest)
            manifest = known
        else:
            claimed = replace(workspace.store, trust=None).find(step.action.digest)  # without its files, or untrusted
            if claimed is not None and claimed.digest() != manifest.digest():
                digests = f"the store claimed {sha256(claimed.digest())}, {sha256(manifest.digest())} now (kept)"
                result += f"  not reproducible, or forged: {digests}"
            if workspace.remote is not None:
                workspace.remote.queue_push(step.action.digest)
            workspace.store.seal(step.action, manifest, step.output)
    record_definitions(workspace.store, step.recipe, step.packages)
    # the garbage collector cannot have removed it meanwhile: the action is locked
    with workspace.lock_decisions(), workspace.store.in_use():
        step.check_current()
        workspace.publish(manifest)
        workspace.mark_sealed(name)
    workspace.store.append_journal(
        {
            "artifact": name,
            "rule": step.recipe.base_rule,
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
    delete(step.scratch, ignore_errors=True)
    return result


def _wait_for_other_builder(store: Store, action: str, artifact: str) -> None:
    """Wait while another run on this store builds the artifact.

    On this machine only a message is printed, and the caller waits for the action's lock. A cluster job waits for a
    bounded time, because it occupies its nodes meanwhile.

    Raises:
        StepFailed: in a cluster job, the other run is not done in time.
    """
    end = time.monotonic() + MAX_CONTENTION_WAIT
    while store.is_locked(action):
        if Allocation.here() is None:
            print_line(f"~ {artifact}  another run on this store builds it: waiting")
            return
        if time.monotonic() > end:
            raise StepFailed(
                f"Another run on this store is building {artifact}.",
                "Run again when it is done: the artifact is then restored.",
            )
        time.sleep(SECONDS_BETWEEN_CHECKS)


def execute(step: Step, stopper: Stopper | None = None) -> tuple[Manifest, float]:
    """Run a step's program, and return the manifest of ``step.output`` and the duration in seconds.

    Args:
        step: the step.
        stopper: passes on requests to stop, which the caller has entered; by default only while the program runs.

    Raises:
        InputChanged, StepFailed, StepStopped: see ``build``.
        EnvironmentChanged: files of the environment were added, removed or replaced while the program ran.
    """
    manifests = step.read_manifests()
    step.check_inputs(manifests)
    step.check_environment()
    _clean(step.scratch, step.control)
    for folder in ("tmp", f"tmp/{HOME}", STATE):
        (step.scratch / folder).mkdir(parents=True, exist_ok=True)
    with Inputs(step.workspace, step.recipe, manifests) as inputs:
        started = time.monotonic() - earlier_seconds(step.scratch)
        if stopper is not None:
            _run_program(step, stopper)
        else:
            with Stopper(step.stop_file) as stopper:
                _run_program(step, stopper)
        inputs.check()
    step.check_folders()
    seconds = time.monotonic() - started
    step.check_inputs(manifests)
    step.launch.require(step.packages)  # nobody has replaced its files meanwhile
    manifest = Manifest.of(step.output, step.recipe.artifact, step.action.digest) if step.output.exists() else None
    if manifest is None or not manifest.entries:
        raise StepFailed(f"{step.recipe.script} succeeded but wrote nothing.", f"Read {step.log}.")
    return manifest, seconds


def _clean(scratch: Path, control: Path) -> None:
    """Delete what earlier attempts have left in a scratch folder, except the state from which a training resumes.

    Programs that are not isolated can write there: a link in place of a file or folder must not lead this process
    elsewhere. ``control`` belongs to this attempt: a request to stop may have come already.
    """
    for path in scratch.glob("*"):
        folder = path.is_dir() and not path.is_symlink()
        if folder and path.name not in (STATE, control.name):
            delete(path, ignore_errors=True)
        elif not folder and (path.is_symlink() or path.name not in KEPT_FILES):
            path.unlink(missing_ok=True)


def _compare(step: Step, known: Manifest, manifest: Manifest) -> str:
    """Return the result of a forced rebuild; move a differing output to ``work/differing``."""
    if known.digest() == manifest.digest():
        return "  identical to the one in the store"
    note(step.workspace.work, SecondBuild(step.action.digest, known.digest(), manifest.digest()))
    path = step.workspace.work / "differing" / step.action.digest / step.output.name
    delete(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    shutil.move(step.output, path)
    digests = f"{sha256(known.digest())} in the store (kept), {sha256(manifest.digest())} now"
    return f"  not reproducible, it DIFFERS: {digests}; the new one is {path}"


def _run_program(step: Step, stopper: Stopper) -> None:
    """Run the program; write its output to the log, and show its progress on the terminal."""
    step.log.parent.mkdir(parents=True, exist_ok=True)
    mode = "a" if (step.scratch / "restarts").exists() else "w"  # a requeued job continues its log
    parent = os.getpid()

    def prepare_child() -> None:
        die_with_parent(parent)  # so that no orphan writes into a scratch folder that another attempt uses
        os.umask(0o022)
        if step.offline and step.recipe.fetches:
            unshare(network=False, processes=False)  # the other programs never have a network

    with (
        tempfile.TemporaryDirectory(prefix="tapeout-", dir=_without_colon(tempfile.gettempdir())) as short,
        open(step.log, mode, encoding="utf-8", errors="replace", opener=only_regular) as log,
    ):
        # a short path to a folder with enough space: paths of sockets are limited to 108 characters
        temporary = Path(short) / "t"
        temporary.symlink_to(step.scratch / "tmp")
        start = step.start(temporary)
        start.prepare()
        step.settle()
        paths = HostPaths(step.code, step.action.value["code"], step.scratch, temporary)
        if step.isolation:
            with written_file(step.log):
                log.write(f"{MARK}{step.isolation}\n")
        process = subprocess.Popen(
            start.command,
            env=start.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",  # steps write UTF-8 in every locale
            errors="replace",
            start_new_session=True,
            preexec_fn=prepare_child,
        )
        try:
            stopper.watch(process, start.signal)
            progress = StepProgress(step.recipe.artifact, step.scratch)
            for output in output_lines(process):
                line = paths.translate(output)
                if not progress.show(line):
                    with written_file(step.log):
                        log.write(visible(line))  # whoever reads the log on a terminal is safe, too
                        log.flush()
            status = start.program_status(process.wait())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # remaining children of the program
            process.wait()
            stopper.forget()
            with contextlib.suppress(FileNotFoundError):
                if not step.metrics.stat().st_size:
                    step.metrics.unlink()  # this program reports none
    stopper.handle_exit(step.recipe.artifact, step.recipe.script, status, step.scratch)
    if status:
        raise _failure(step, status)


def _without_colon(folder: str) -> str:
    """Return a folder whose name can be part of a list of paths."""
    return "/tmp" if ":" in folder else folder


def _failure(step: Step, status: int) -> TapeoutError:
    """Return the error that the program printed last; without one, its exit status and the end of its log."""
    output = read_file(step.log).decode("utf-8", "replace").rstrip().splitlines()
    lines = [line for line in output if not line.startswith(SLURM_PREFIXES)]
    if (found := hidden(lines[-MAX_LOG_LINES:])) is not None:
        return StepFailed(found[0], f"{found[1]} Read {step.log}.")
    if lines and (error := error_in(lines[-1])) is not None:
        return error
    if len(lines) >= 2 and lines[-1].startswith(FIX):
        cause = lines[-2].removeprefix(f"{StepFailed.__name__}: ")
        return disk_full_in(lines[-2]) or StepFailed(cause, lines[-1].removeprefix(FIX))
    end = "\n".join(f"    | {line}" for line in output[-MAX_LOG_LINES:])
    ending = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return StepFailed(f"{step.recipe.script} {ending}.", f"Read the log {step.log}, which ends:\n{end}")


def read_step(workspace: Workspace, artifact: str, threads: int, log: Path) -> tuple[Step, bool]:
    """Return the step of an artifact after checking its inputs, and whether it is forced.

    Raises:
        UnknownName, UnreadableState, InputChanged: plan, action or inputs are not those of this run, or not visible
            yet on a shared file system.
    """
    recipe, forced = workspace.read_recipe(artifact)
    step = Step(workspace, recipe, workspace.action(artifact), threads, log, launch=workspace.read_launch())
    step.check_inputs(step.read_manifests())
    return step, forced
