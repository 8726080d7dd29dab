"""Linux process primitives: identity of a process, death with its parent, and isolation from the network."""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
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


def isolate_network() -> None:
    """Move this process into a network namespace with only a loopback interface, which distributed training needs.

    Raises:
        OSError: the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "the network cannot be isolated")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        (interface_flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", interface_flags | IFF_UP))


@cache
def can_isolate_network() -> bool:
    """Return whether this system allows ``isolate_network``; many containers do not."""
    probe = [sys.executable, "-c", f"from {__name__} import isolate_network; isolate_network()"]
    return subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode == 0
