"""Linux namespaces, mounts and processes, called without a library, for the sandboxes of steps and generated programs.

It imports only the standard library, because a sandbox runs with the plain Python of a machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path
from typing import NoReturn

HOST_NAME = "tapeout"
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP = (
    *(0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x02000000),
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
MNT_DETACH, PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 2, 1, 4, 24, 38
KEPT_CAPABILITIES = (*range(6), 31)
"""Capabilities of root that concern its files and processes, and the one with which it may isolate others once more;
all others would let it undo the isolation."""
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1
PR_SET_TIMERSLACK, TIMER_SLACK, PR_SET_THP_DISABLE = 29, 50_000, 41
NO_DOMAIN = b"(none)"
SYS_MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD = 442, 0x8000, -100
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
libc = ctypes.CDLL(None, use_errno=True)


def call(result: int, what: str) -> None:
    """Raise the error of a system call that returned ``result``.

    Raises:
        OSError: it failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or change a mount.

    Raises:
        OSError: the system refuses.
    """
    arguments = [text.encode() or None for text in (source, target, kind)]
    call(libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def read_only(path: str) -> None:
    """Make a mount and those below it read-only; on Linux before 5.12 only the mount itself.

    Raises:
        OSError: the system refuses.
    """
    attributes = struct.pack("QQQQ", MS_RDONLY, 0, 0, 0)  # MOUNT_ATTR_RDONLY has the same value
    if libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, len(attributes)) == 0:
        return
    if ctypes.get_errno() != errno.ENOSYS:
        call(-1, f"mount_setattr {path}")
    state = os.statvfs(path).f_flag  # flags of the original mount may not be cleared
    kept = state & 0xF | (1 << 10 if state & 1024 else 0) | (1 << 21 if state & 4096 else 0)
    mount("none", path, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def unshare(network: bool, processes: bool = True) -> None:
    """Move this process into its own namespaces of users, mounts, host name, shared memory, and network.

    When the first process that it starts afterwards ends, the kernel ends all others in the namespace of process ids.

    A process in another namespace of users cannot be inspected through ``/proc`` (its working directory, its root).

    Args:
        network: true if it keeps the machine's network and host name.
        processes: true if the processes that it starts get a namespace of process ids.

    Raises:
        OSError: the system does not permit it.
    """
    user, group = os.geteuid(), os.getegid()
    maps = [_identity(Path(f"/proc/self/{name}").read_text()) for name in ("uid_map", "gid_map")]
    own = (
        CLONE_NEWUSER
        | CLONE_NEWNS
        | CLONE_NEWCGROUP
        | (CLONE_NEWPID if processes else 0)
        | (0 if network else CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
    )
    call(libc.unshare(own), "unshare")
    if user == 0:
        try:  # all users, so that files of others stay readable for root
            for name, text in zip(("uid_map", "gid_map"), maps, strict=True):
                Path(f"/proc/self/{name}").write_text(text)
        except PermissionError:
            _map_one(user, group)
    else:
        _map_one(user, group)
    if not network:
        socket.sethostname(HOST_NAME)
        call(libc.setdomainname(NO_DOMAIN, len(NO_DOMAIN)), "setdomainname")
        _start_loopback()


def _identity(ranges: str) -> str:
    """Return the map of users that changes nothing."""
    lines = [line.split() for line in ranges.splitlines()]
    return "".join(f"{first} {first} {count}\n" for first, _, count in lines)


def _map_one(user: int, group: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)


def _start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def enter(new: str) -> None:
    """Make ``new`` the root, and let go of the former one.

    Raises:
        OSError: the system does not permit it.
    """
    os.chdir(new)
    number = SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "pivot_root: unknown machine")
    call(libc.syscall(number, b".", b"."), "pivot_root")
    call(libc.umount2(b".", MNT_DETACH), "umount")


def drop_privileges() -> None:
    """Give up what would let a program undo its isolation, also if it is root; takes effect when it is executed."""
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hide() -> None:
    """Hide this process from those that it starts: its variables, its command and its folders."""
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def reset_process() -> None:
    """Undo what the callers of this process have set for it and its children, as far as the system permits it.

    Signals get their default actions and are not blocked; keys of the caller's session are out of reach. Personality
    (``setarch``), timer slack, huge pages and the selection for the out-of-memory killer are those of a new process.
    Limits, priorities and policies of scheduling and memory stay.
    """
    libc.personality(0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):  # reserved by the C library
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if (system_call := SYS_KEYCTL.get(os.uname().machine)) is not None:
        libc.syscall(system_call, KEYCTL_JOIN_SESSION_KEYRING, None)
    libc.prctl(PR_SET_TIMERSLACK, TIMER_SLACK, 0, 0, 0)
    libc.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)
    for name, value in (("oom_score_adj", "0"), ("coredump_filter", "0x33")):
        with contextlib.suppress(OSError):
            Path(f"/proc/self/{name}").write_text(value)


def supervise(child: int) -> int:
    """Pass signals on to a child until it ends, and return its status; children of children are waited for, too."""

    def forward(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def end_as(status: int) -> NoReturn:
    """End this process as another one has ended, given its status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)
