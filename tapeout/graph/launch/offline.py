"""Keeping a program from the network: a step that is built again must not fetch what it cannot name."""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from functools import cache

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def cut_off() -> None:
    """Give this process a network of its own with nothing but a loopback, which training on one machine needs.

    Raises:
        OSError: the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "the network cannot be cut off")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = fcntl.ioctl(asked, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        (now,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", now | IFF_UP))


@cache
def possible() -> bool:
    """Whether this system lets a process cut itself off; many containers do not."""
    probe = [sys.executable, "-c", "from tapeout.graph.launch.offline import cut_off; cut_off()"]
    return subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode == 0
