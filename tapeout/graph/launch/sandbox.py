"""Program that isolates a command from everything but what a specification lists, and then becomes that command.

It runs before the program of every step (``run.step``), by path and with ``-I -S``, and imports only the standard
library. ``python -I -S sandbox.py SPECIFICATION -- COMMAND`` makes a mount namespace (as ``bubblewrap`` does): a new
root with the folders of the operating system, read-only, and the listed files and folders at fixed paths. Everything
else does not exist for the command: not the project, other results, the home folders, or files by absolute paths. It
also has its own network with only a loopback interface, unless the specification grants the machine's, and no variable
that is not listed.

Where the system does not permit namespaces, the same paths are links below the temporary folder, and an audit hook
(``audit_hook.py``) in each Python process refuses to open other files. The first line of the output says which.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = "/tapeout"
"""Folder of everything that belongs to the step, in the namespace."""
HOOK = "TAPEOUT_AUDIT"
"""Environment variable with what the audit hook permits, as JSON."""
MARK = "isolation: "
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
"""Folders of the operating system."""
ETC = ("alternatives", "ca-certificates", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "pki", "ssl")
ETC_OF_NETWORK = (
    *("gai.conf", "host.conf", "libibverbs.d", "nccl.conf", "nsswitch.conf", "protocols", "resolv.conf", "services"),
)
"""Files of ``/etc`` that every program sees, and those that only a program with network sees."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/nvidiactl")
"""Devices that Python code opens itself, where an audit hook has to permit it."""
PACKAGES = "site-packages"
HOST_NAME = "tapeout"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = (
    *(0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x40000000),
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SIGKILL = 2, 1, 38, 9
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD = 442, 0x8000, -100
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Specification:
    """Everything that the command may see.

    Attributes:
        binds: pairs of a file or folder of this machine and its path in the namespace; relative paths are below the
            working directory of the command.
        writable: those paths in the namespace that the command may write.
        network: true if it has the machine's network.
        variables: environment variables; values may contain paths in the namespace.
        inherited: prefixes of variables that it gets from the caller.
        interpreter: files, folders and links that the interpreter of the command needs, at their own paths; packages
            in them are hidden.
    """

    binds: list[tuple[str, str]]
    writable: list[str]
    network: bool
    variables: dict[str, str]
    inherited: list[str]
    interpreter: list[str]

    @classmethod
    def read(cls, path: str) -> Specification:
        """Return the specification in a JSON file."""
        return cls(**json.loads(Path(path).read_bytes()))


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


def unshare(network: bool) -> None:
    """Move this process into its own namespaces of users, mounts, host name, shared memory, and network.

    A process in another namespace of users cannot be inspected through ``/proc`` (its working directory, its root).

    Args:
        network: true if it keeps the machine's network and host name.

    Raises:
        OSError: the system does not permit it.
    """
    user, group = os.geteuid(), os.getegid()
    maps = [_identity(Path(f"/proc/self/{name}").read_text()) for name in ("uid_map", "gid_map")]
    own = CLONE_NEWUSER | CLONE_NEWNS | (0 if network else CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
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


def build_root(new: str, specification: Specification, temporary: str) -> None:
    """Mount everything that the command sees below the new root.

    Args:
        new: an empty folder.
        specification: what it sees.
        temporary: folder with the folders ``tmp``, ``home`` and ``here``.

    Raises:
        OSError: the system does not permit it.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", new, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for folder in SYSTEM:
        if Path(folder).is_symlink():
            _parent(new + folder)
            Path(new + folder).symlink_to(Path(folder).readlink())
        elif Path(folder).is_dir():
            _bind(folder, new + folder, writable=False)
    for folder in ("/dev", "/proc", "/sys"):
        _bind(folder, new + folder, writable=folder != "/sys")
    if Path(new, "dev/shm").is_dir():
        mount("tmpfs", new + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    _write_etc(new + "/etc", specification.network)
    for path in specification.interpreter:
        if not any(Path(path).is_relative_to(known) for known in SYSTEM):
            _show_interpreter(path, new)
    _bind(f"{temporary}/tmp", new + "/tmp", writable=True)
    Path(new, "var").mkdir()
    Path(new, "var/tmp").symlink_to("/tmp")
    for name in ("home", "here"):
        _bind(f"{temporary}/{name}", f"{new}{ROOT}/{name}", writable=True)
    for source, target in specification.binds:
        inside = target if target.startswith("/") else f"{ROOT}/here/{target}"
        _bind(source, new + inside, writable=target in specification.writable)
    mount("none", new, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _show_interpreter(path: str, new: str) -> None:
    """Show a file, folder or link at its own path, without the packages that are installed beside a library."""
    if Path(path).is_symlink():
        _parent(new + path)
        Path(new + path).symlink_to(Path(path).readlink())
        return
    _bind(path, new + path, writable=False)
    if Path(path, PACKAGES).is_dir():
        mount("tmpfs", f"{new}{path}/{PACKAGES}", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=755")


def _parent(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)


def _bind(source: str, target: str, writable: bool) -> None:
    _parent(target)
    if Path(source).is_dir():
        Path(target).mkdir(parents=True, exist_ok=True)
    elif not Path(target).exists():
        Path(target).touch()
    mount(source, target, flags=MS_BIND | MS_REC)
    if not writable:
        read_only(target)


def _write_etc(folder: str, network: bool) -> None:
    Path(folder).mkdir()
    user, group = os.geteuid(), os.getegid()
    texts = {
        "passwd": f"{HOST_NAME}:x:{user}:{group}::{ROOT}/home:/bin/sh\n",
        "group": f"{HOST_NAME}:x:{group}:\n",
        "hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n",
    }
    for name, text in texts.items():
        if not (network and name == "hosts"):
            Path(folder, name).write_text(text)
    for name in (*ETC, *((*ETC_OF_NETWORK, "hosts") if network else ())):
        source = os.path.realpath(f"/etc/{name}")
        if Path(source).exists():
            _bind(source, f"{folder}/{name}", writable=False)


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


def isolate(specification: Specification, temporary: str) -> str:
    """Isolate this process in a namespace; return an empty text, or the reason for which that is impossible.

    A child tries first, because a process that failed halfway could not go back.
    """
    new = f"{temporary}/root"
    Path(new).mkdir(exist_ok=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        fault = _isolated(specification, temporary, new)
        os.write(writing, fault.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        fault = pipe.read().decode()
    os.waitpid(child, 0)
    return fault or _isolated(specification, temporary, new)


def _isolated(specification: Specification, temporary: str, new: str) -> str:
    try:
        unshare(specification.network)
        build_root(new, specification, temporary)
        enter(new)
    except OSError as error:
        return f"{error.strerror or error}"
    return ""


def link(specification: Specification, temporary: str) -> None:
    """Make links below ``temporary``/tapeout in place of the mounts."""
    folder = temporary + ROOT
    Path(folder, "here").mkdir(parents=True)
    Path(folder, "home").symlink_to(f"{temporary}/home")
    for source, target in specification.binds:
        inside = temporary + target if target.startswith("/") else f"{folder}/here/{target}"
        _parent(inside)
        if not os.path.lexists(inside):  # else it lies in an input that is linked as a whole
            Path(inside).symlink_to(os.path.realpath(source))


def permitted(specification: Specification, temporary: str) -> dict[str, object]:
    """Return what the audit hook permits: real paths of readable and of writable folders and files, and the network."""
    etc = [f"/etc/{name}" for name in (*ETC, *(ETC_OF_NETWORK if specification.network else ()))]
    read = [*SYSTEM, "/proc", "/sys", *etc, *specification.interpreter, *(source for source, _ in specification.binds)]
    writable = [source for source, target in specification.binds if target in specification.writable]
    return {
        "read": sorted({os.path.realpath(path) for path in read}),
        "write": sorted({os.path.realpath(path) for path in (temporary, *DEVICES, *writable)}),
        "network": specification.network,
    }


def prepare(specification: Specification, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """Isolate this process as far as the system permits, and print the first line of the log.

    Returns:
        the command and the variables with which it is to be executed in the current working directory.
    """
    short = os.environ["TMPDIR"]
    temporary = os.path.realpath(short)
    for name in ("tmp", "home", "here"):
        Path(temporary, name).mkdir(exist_ok=True)
    variables = {name: value for name, value in os.environ.items() if name.startswith(tuple(specification.inherited))}
    variables |= specification.variables
    fault = isolate(specification, temporary)
    if not fault:
        os.chdir(f"{ROOT}/here")
        reach = "this machine's network" if specification.network else "no network"
        print(f"{MARK}mount namespace, {reach}", flush=True)
        return command, variables
    link(specification, temporary)
    before, after = f"{ROOT}/", f"{short}{ROOT}/"
    hook = Path(temporary, "hook")
    hook.mkdir()
    (hook / "sitecustomize.py").write_bytes(Path(__file__).with_name("audit_hook.py").read_bytes())
    variables = {name: value.replace(before, after) for name, value in variables.items()} | {
        "TMPDIR": f"{short}/tmp",
        "USER": HOST_NAME,
        HOOK: json.dumps(permitted(specification, temporary)),
    }
    variables["PYTHONPATH"] += f":{hook}"
    os.chdir(f"{temporary}{ROOT}/here")
    print(f"{MARK}audit hook in Python processes ({fault}); programs of other kinds are not isolated", flush=True)
    return [text.replace(before, after) for text in command], variables


def main() -> None:
    """Isolate this process, and become the command."""
    parent = os.getppid()
    separator = sys.argv.index("--")
    command, variables = prepare(Specification.read(sys.argv[1]), sys.argv[separator + 1 :])
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.execve(command[0], command, variables)


if __name__ == "__main__":
    main()
