"""Linux process primitives: identity of a process, death with its parent, and a test for namespaces."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from tapeout.namespaces import unshare

PR_SET_PDEATHSIG = 1


def start_time(pid: int) -> int | None:
    """Return when a process of this machine started, in clock ticks since boot; None if it has ended.

    Process ids are reused: only id and start time together identify a process. Its command line does not, because a
    child shows that of its parent until it executes its own program.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may contain anything
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def children(parent: int) -> set[int]:
    """Return the process ids of the children of a process."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX" and int(fields[1]) == parent:
                    found.add(int(folder.name))
    return found


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; to be called in a child, before it executes.

    Args:
        parent: process id of the parent, which may have ended already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@cache
def can_isolate_network() -> bool:
    """Return whether this system permits namespaces, so that a program can be cut off from the network."""
    probe = [sys.executable, "-c", f"from {unshare.__module__} import unshare; unshare(network=False)"]
    return subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode == 0
