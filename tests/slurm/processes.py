"""Functions that wait for conditions, and find processes and free ports."""

import contextlib
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path


class ClusterFailed(Exception):
    """A daemon did not start, or a node does not become idle."""


def free_port(count: int) -> int:
    """Return the first of ``count`` consecutive unused ports."""
    while True:
        first = random.randrange(20000, 30000)  # below the range from which the kernel assigns ports
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first


def wait_until(true: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    """Wait for a condition; raise ``ClusterFailed`` if it does not hold in time.

    The limit only ends a test that would hang: it is far above what a busy machine needs. The pauses grow, because most
    conditions call a client of Slurm, and many clients would keep the machine busy.
    """
    end, pause = time.monotonic() + seconds, 0.05
    while not true():
        if time.monotonic() > end:
            raise ClusterFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


def runs(pid: int) -> bool:
    """Return whether a process runs; one that has ended and that its parent has not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_of(words: str, folder: Path | None = None) -> list[int]:
    """Return the processes with these words in their command line, oldest first; only those of ``folder`` if given."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if words in line and (folder is None or _belongs(process, folder)):
                found.append(int(process.name))
    return sorted(found)


def _belongs(process: Path, folder: Path) -> bool:
    """Return whether a process works in a folder, or in a namespace that shows a part of it."""
    return (process / "cwd").readlink().is_relative_to(folder) or f"{folder}/" in (process / "mountinfo").read_text()


def descendants(pid: int) -> list[int]:
    """Return children, their children and so on."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def environment_of_children(pid: int) -> str:
    """Return the variables of a step daemon's tasks, which name their node."""
    text = ""
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            text += Path(f"/proc/{child}/environ").read_bytes().replace(b"\0", b"\n").decode(errors="replace") + "\n"
    return text
