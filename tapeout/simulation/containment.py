"""Run compilers and generated programs isolated from the machine, with limits on everything that they could exhaust.

The isolation needs no privilege and no other program: Linux namespaces of users, mounts, processes, network, shared
memory and host name (``simulation.contained``). It also works inside the sandbox of a step.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tapeout.errors import TapeoutError
from tapeout.simulation import contained

End = Literal["ended", "time", "memory", "output", "file", "process", "crash"]
"""End of a program: by itself, at a limit, or by a fault of its own."""
MIB = 1 << 20
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
VARIABLES = {"PATH": "/usr/bin:/bin", "HOME": contained.SCRATCH, "TMPDIR": contained.SCRATCH, "LC_ALL": "C"}
NAMESPACES = "namespaces, no network, read-only file system"
"""Isolation of every program, unless the configuration permits none."""
WITHOUT = "limits only, no isolation"
BY_SIGNAL: Mapping[int, End] = {
    signal.SIGXCPU: "time",
    signal.SIGKILL: "time",
    signal.SIGXFSZ: "file",
    signal.SIGSYS: "process",
}
"""Limit that a signal stands for; the hard limit of processor time kills."""
NO_MEMORY = ("bad_alloc", "out of memory", "cannot allocate memory", "memory exhausted", "length_error")


class NotIsolated(TapeoutError):
    """A program was not started, because it cannot be isolated and limited on this machine."""


@dataclass(frozen=True)
class Limits:
    """Limits of one program.

    Attributes:
        cpu_seconds: processor time of each process.
        wall_seconds: time after which everything is killed; generous, because machines are shared.
        memory_bytes: address space of each process.
        file_bytes: size of each file that it writes.
        scratch_bytes: size of a scratch folder in memory.
        output_bytes: standard output and error together.
        processes: number of processes.
    """

    cpu_seconds: int
    wall_seconds: int
    memory_bytes: int
    file_bytes: int
    scratch_bytes: int
    output_bytes: int
    processes: int


COMPILE = Limits(60, 300, 3072 * MIB, 256 * MIB, 16 * MIB, MIB, 64)
"""Limits of simulators' compilers, which also read generated text."""
SIMULATE = Limits(10, 120, 1024 * MIB, 4 * MIB, 8 * MIB, MIB, 16)
"""Limits of a simulation."""


@dataclass(frozen=True)
class SimulatorLimits:
    """Limits of a simulator's programs."""

    compilation: Limits
    simulation: Limits


DEFAULT_LIMITS = SimulatorLimits(COMPILE, SIMULATE)


@dataclass(frozen=True)
class Outcome:
    """End of a program.

    Attributes:
        end: how it ended.
        status: exit status, 128 and more for a signal.
        output: standard output and error, cut at the limit.
    """

    end: End
    status: int
    output: str

    @property
    def succeeded(self) -> bool:
        """True if the program ended by itself with status 0."""
        return self.end == "ended" and self.status == 0


class Containment:
    """Starts programs in isolation.

    Args:
        permit_none: true if programs may run with limits alone where the machine permits no namespaces.

    Attributes:
        isolation: how programs are isolated.

    Raises:
        NotIsolated: the machine permits no namespaces, and ``permit_none`` is false.
    """

    def __init__(self, permit_none: bool = False) -> None:
        self.isolation = NAMESPACES
        try:
            probe = self.run(["/usr/bin/env"], SIMULATE)
            if not probe.succeeded:
                raise _refused(probe.output.strip() or probe.end)
        except NotIsolated:
            if not permit_none:
                raise
            self.isolation = WITHOUT

    def run(
        self,
        command: Sequence[str],
        limits: Limits,
        *,
        folder: Path | None = None,
        files: Mapping[str, Path] = {},
        reads: Sequence[Path] = (),
        variables: Mapping[str, str] = {},
        alone: bool = False,
    ) -> Outcome:
        """Run a program in its scratch folder until it ends or reaches a limit.

        Args:
            command: program and arguments; relative paths begin at the scratch folder.
            limits: limits of the program.
            folder: scratch folder; by default an empty one in memory, of which nothing remains.
            files: files by their name in the scratch folder, where they are read-only.
            reads: further files and folders that it may read, besides those of the operating system.
            variables: further environment variables.
            alone: true if it may start no other process.

        Raises:
            NotIsolated: the machine refuses to start the program so; that says nothing about the program.
        """
        isolate = self.isolation == NAMESPACES
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary, "root")
            root.mkdir()
            scratch = folder
            if not isolate:
                scratch = folder or root
                for name, path in files.items():
                    (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                    (scratch / name).symlink_to(path.resolve())
            binds = [*SYSTEM, "/etc/alternatives", "/etc/ld.so.cache", *(str(path.absolute()) for path in reads)]
            specification = {
                "isolate": isolate,
                "root": str(root),
                "folder": str(scratch.absolute()) if scratch else "",
                "binds": [path for path in binds if os.path.lexists(path)],
                "files": [(str(path.absolute()), name) for name, path in files.items()],
                "scratch_bytes": limits.scratch_bytes,
                "limits": {name: value for name, value in asdict(limits).items() if name != "wall_seconds"},
                "variables": {**VARIABLES, **({} if isolate else {"TMPDIR": str(scratch)}), **variables},
                "alone": alone,
            }
            reading, writing = os.pipe()
            with open(reading, "rb") as report:
                try:
                    text = json.dumps({**specification, "report": writing})
                    program = [sys.executable, "-I", "-S", contained.__file__, text, "--", *command]
                    outcome = _supervised(program, limits, writing)
                finally:
                    os.close(writing)
                os.set_blocking(reading, False)  # everything that could write has ended
                if (reported := report.read() or b"") != contained.STARTED:
                    reason = reported.removeprefix(contained.STARTED).decode("utf-8", "replace")
                    raise _refused(reason or outcome.output.strip().rpartition("\n")[2] or "it did not start in time")
            return outcome


def _refused(reason: str) -> NotIsolated:
    return NotIsolated(
        f"Generated programs cannot be isolated on this machine: {reason}.",
        "Permit user namespaces (sysctl kernel.unprivileged_userns_clone=1), evaluate on another machine, "
        "or set the option permit_no_isolation of the task, if the machine holds nothing of value.",
    )


def _supervised(program: Sequence[str], limits: Limits, report: int) -> Outcome:
    """Run a program with limits on wall-clock time and output; it gets the descriptor ``report``."""
    process = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(report,),
    )
    assert process.stdout is not None
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill(process)

    timer = threading.Timer(limits.wall_seconds, expire)
    timer.start()
    output, is_long = bytearray(), False
    try:
        while piece := os.read(process.stdout.fileno(), 1 << 16):
            output += piece
            if len(output) > limits.output_bytes:
                is_long = True
                _kill(process)
                break
    finally:
        _await(process)
        timer.cancel()
        timer.join()
        _kill(process)  # what it left in its group, if it is not isolated
        process.wait()
        process.stdout.close()
    text = output[: limits.output_bytes].decode("utf-8", "replace")
    return Outcome(_end_of(process.returncode, text, is_long, expired.is_set()), process.returncode % 256, text)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the first process; the kernel kills everything in its namespace.

    The process must not have been waited for: its number could belong to another one.
    """
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _await(process: "subprocess.Popen[bytes]") -> None:
    """Give a process that has closed its output some time to end; its number stays its own."""
    deadline = time.monotonic() + 5
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while os.waitid(os.P_PID, process.pid, ended) is None and time.monotonic() < deadline:
        time.sleep(0.002)


def _end_of(status: int, output: str, is_long: bool, is_late: bool) -> End:
    number = -status if status < 0 else status - 128
    if is_long:
        return "output"
    if is_late:
        return "time"
    if number not in (0, *BY_SIGNAL) and status != 0 and any(text in output[-2000:].lower() for text in NO_MEMORY):
        return "memory"
    if number in BY_SIGNAL:
        return BY_SIGNAL[number]
    return "crash" if number > 0 else "ended"
