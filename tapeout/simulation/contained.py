"""Program that isolates a command from the machine, limits it, and then becomes that command.

``simulation.containment`` starts it by path with ``-I -S``, so it imports only the standard library and
``tapeout.namespaces``. ``python -I -S contained.py SPECIFICATION -- COMMAND`` makes namespaces of users, mounts,
processes, network, shared memory and host name, a root that is read-only but for one scratch folder, resource limits,
and a filter of system calls. ``STARTED`` is written to the descriptor ``report`` of the specification just before,
and then nothing more, unless the command cannot be started; the command does not have this descriptor.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

if not __package__:  # run by path
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tapeout.namespaces import (
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    PR_CAPBSET_DROP,
    PR_SET_NO_NEW_PRIVS,
    die_with_parent,
    end_as,
    enter,
    libc,
    mount,
    read_only,
    supervise,
    unshare,
)

STARTED = b"\0"
SCRATCH = "/scratch"
"""The one folder that the command can write."""
DEVICES = ("null", "zero", "urandom")
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, KILL, NOT_PERMITTED, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050000 | 1, 0x00050000 | 38
ARCHITECTURES = {
    "x86_64": (0xC000003E, 56, 435, (57, 58), (272, 308)),
    "aarch64": (0xC00000B7, 220, 435, (), (97, 268)),
}
"""By machine: its number for filters, and those of ``clone``, ``clone3``, of ``fork`` and ``vfork``, and of
``unshare`` and ``setns``."""
CLONE_THREAD = 0x00010000
SECOND_NUMBERS = 0x40000000
"""First number of the second set of system calls that x86-64 has, which does the same (x32)."""


def build_root(root: str, specification: dict[str, Any]) -> None:
    """Mount everything that the command sees below an empty folder.

    Raises:
        OSError: the system does not permit it.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for path in specification["binds"]:
        if Path(path).is_symlink():
            Path(root + path).parent.mkdir(parents=True, exist_ok=True)
            Path(root + path).symlink_to(Path(path).readlink())
        else:
            _bind(path, root + path)
    for name in DEVICES:
        _bind(f"/dev/{name}", f"{root}/dev/{name}", writable=True)
    Path(root + SCRATCH).mkdir()
    if folder := specification["folder"]:
        _bind(folder, root + SCRATCH, writable=True)
    else:
        size = specification["scratch_bytes"]
        mount("tmpfs", root + SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=755,size={size},nr_inodes=1000")
    for source, name in specification["files"]:
        _bind(source, f"{root}{SCRATCH}/{name}")
    if not Path(root, "tmp").exists():
        Path(root, "tmp").symlink_to(SCRATCH)
    mount("none", root, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _bind(source: str, target: str, writable: bool = False) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir():
        Path(target).mkdir(exist_ok=True)
    else:
        Path(target).touch()
    mount(source, target, flags=MS_BIND | MS_REC)
    if not writable:
        read_only(target)


def set_limits(limits: dict[str, int], isolate: bool) -> None:
    """Limit this process and those that it starts: memory of each, processor time, size of files, processes.

    The number of processes is limited only in a namespace of users: elsewhere all processes of the user count.
    """
    kinds = {
        "memory_bytes": resource.RLIMIT_AS,
        "cpu_seconds": resource.RLIMIT_CPU,
        "file_bytes": resource.RLIMIT_FSIZE,
        **({"processes": resource.RLIMIT_NPROC} if isolate else {}),
    }
    for name, kind in kinds.items():
        hard = resource.getrlimit(kind)[1]
        highest = limits[name] + (kind == resource.RLIMIT_CPU)  # a second between the signal and the end
        highest = highest if hard == resource.RLIM_INFINITY else min(highest, hard)
        resource.setrlimit(kind, (min(limits[name], highest), highest))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forbid_processes() -> None:
    """Let the kernel kill this process when it starts another one; threads are permitted, namespaces are not.

    Raises:
        OSError: the system does not permit it, or the machine is unknown.
    """
    if platform.machine() not in ARCHITECTURES:
        raise OSError(0, f"no filter of system calls for {platform.machine()}")
    audit, clone, clone3, forks, namespaces = ARCHITECTURES[platform.machine()]
    load, equal, least, bits, give = 0x20, 0x15, 0x35, 0x45, 0x06  # operations of the kernel's filter language
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, audit),
        (give, 0, 0, KILL),
        (load, 0, 0, 0),
        *((least, 0, 1, SECOND_NUMBERS), (give, 0, 0, KILL)),
        *(step for number in forks for step in ((equal, 0, 1, number), (give, 0, 0, KILL))),
        *(step for number in namespaces for step in ((equal, 0, 1, number), (give, 0, 0, NOT_PERMITTED))),
        *((equal, 0, 1, clone3), (give, 0, 0, NO_SUCH_CALL)),  # its flags are in memory; libraries then use clone
        *((equal, 0, 3, clone), (load, 0, 0, 16), (bits, 1, 0, CLONE_THREAD), (give, 0, 0, KILL)),
        (give, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system has no filter of system calls")


def start(specification: dict[str, Any], command: list[str], isolate: bool) -> NoReturn:
    """Limit this process, and become the command.

    Raises:
        OSError: the system does not permit it.
    """
    os.chdir(SCRATCH if isolate else specification["folder"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what it starts would, too
        signal.signal(number, signal.SIG_DFL)
    set_limits(specification["limits"], isolate)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if isolate:
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if specification["alone"]:
        forbid_processes()
    os.write(specification["report"], STARTED)
    os.execve(command[0], command, specification["variables"])


def main() -> None:
    """Isolate this process, and become the command."""
    specification, command = json.loads(sys.argv[1]), sys.argv[3:]
    die_with_parent()
    os.set_inheritable(specification["report"], False)
    try:
        if not specification["isolate"]:
            start(specification, command, isolate=False)
        unshare(network=False)
        if first := os.fork():
            end_as(supervise(first))
        die_with_parent()
        build_root(specification["root"], specification)
        enter(specification["root"])
        if process := os.fork():  # the first process of the namespace would ignore signals without a handler
            status = supervise(process)
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        start(specification, command, isolate=True)
    except (OSError, MemoryError) as error:
        os.write(specification["report"], f"{getattr(error, 'strerror', None) or error or 'no memory'}".encode())
        os._exit(1)


if __name__ == "__main__":
    main()
