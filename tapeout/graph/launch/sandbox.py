"""Program that isolates a command from everything but what a specification lists, and then becomes that command.

It runs before the program of every step (``run.step``), by path and with ``-I -S``, and imports only the standard
library. ``python -I -S sandbox.py SPECIFICATION SHA256 -- COMMAND`` makes a mount namespace (as ``bubblewrap`` does):
a new root with the folders of the operating system, read-only, and the listed files and folders at fixed paths.
Everything else does not exist for the command: not the project, other results, the home folder, or files by absolute
paths. It also has its own processes, all of which end with it, its own network with only a loopback interface, unless
the specification grants the machine's, and no variable that is not listed.

Where the system does not permit namespaces, the same paths are links below the temporary folder, and an audit hook
(``audit_hook.py``) in each Python process refuses to open other files. The first line of the output says which.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import signal
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # run by path
    sys.path.insert(0, str(Path(__file__).parents[3]))

from tapeout.namespaces import (
    HOST_NAME,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    die_with_parent,
    drop_privileges,
    end_as,
    enter,
    hide,
    mount,
    read_only,
    reset_process,
    supervise,
    unshare,
)

ROOT = "/tapeout"
"""Folder of everything that belongs to the step, in the namespace."""
HOOK = "TAPEOUT_AUDIT"
"""Environment variable with what the audit hook permits, as JSON."""
MARK = "isolation: "
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
"""Folders of the operating system."""
ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d")
ETC_OF_NETWORK = (
    *("ca-certificates", "pki", "ssl"),
    *("gai.conf", "host.conf", "libibverbs.d", "nccl.conf", "nsswitch.conf", "protocols", "resolv.conf", "services"),
)
"""Files of ``/etc`` that every program sees, and those that only a program with network sees."""
DEVICES = ("null", "zero", "full", "random", "urandom")
COMPUTING = re.compile(r"nvidia.*|infiniband|dri|kfd|gdrdrv|accel.*")
"""Devices that every program sees, and names of those with which one computes or communicates, or of their folders."""
CGROUPS = "/sys/fs/cgroup"
"""Limits and accounts of the groups of processes of the machine, which a program does not see."""
PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi")
PROC = (
    *("cpuinfo", "devices", "driver", "filesystems", "loadavg", "meminfo", "mounts", "stat", "sys", "version"),
    *("self", "thread-self"),
)
"""Parts of ``/proc`` that an audit hook permits, besides the folder of the process itself."""
PACKAGES = ("site-packages", "dist-packages")
"""Folders beside a library, of packages that are not those of the environment."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
        required: true if the command must not run when namespaces are forbidden.
        interpreter: files, folders and links that the interpreter of the command needs, at their own paths; packages
            in them are hidden.
    """

    binds: list[tuple[str, str]]
    writable: list[str]
    network: bool
    variables: dict[str, str]
    inherited: list[str]
    interpreter: list[str]
    required: bool = False

    def write(self, path: Path) -> tuple[str, str]:
        """Write the specification to a file; return its path and SHA-256, the arguments of this program."""
        data = json.dumps(asdict(self), sort_keys=True).encode()
        path.write_bytes(data)
        return str(path), hashlib.sha256(data).hexdigest()

    @classmethod
    def read(cls, path: str, digest: str) -> Specification:
        """Return the specification in a JSON file.

        Raises:
            SystemExit: the file has another digest.
        """
        data = Path(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise SystemExit(f"{path} was edited before the program was started.")
        return cls(**json.loads(data))


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
    _bind("/sys", new + "/sys", writable=False)
    if Path(CGROUPS).is_dir():
        mount("tmpfs", new + CGROUPS, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=755")
    _show_processes(new + "/proc")
    _show_devices(new + "/dev")
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


def _show_processes(folder: str) -> None:
    """Show the command's own processes; settings of the kernel are read-only, also for root."""
    Path(folder).mkdir()
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        try:
            mount("proc", folder, "proc", flags, "hidepid=4")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            mount("proc", folder, "proc", flags)  # Linux before 5.8
    except PermissionError:  # a part of the machine's own is hidden, for example in a container
        _bind("/proc", folder, writable=True)
    for name in PROC_READ_ONLY:
        if Path(folder, name).exists():
            _bind(f"{folder}/{name}", f"{folder}/{name}", writable=False)


def _show_devices(folder: str) -> None:
    Path(folder, "shm").mkdir(parents=True)
    mount("tmpfs", f"{folder}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for path in sorted(Path("/dev").iterdir()):
        if path.name in DEVICES or COMPUTING.fullmatch(path.name):
            for device in sorted(path.iterdir()) if path.is_dir() else [path]:
                if stat.S_ISCHR(device.lstat().st_mode):
                    _bind(str(device), folder + str(device).removeprefix("/dev"), writable=True)
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        Path(folder, name).symlink_to(f"/proc/self/fd{target}")


def _show_interpreter(path: str, new: str) -> None:
    """Show a file, folder or link at its own path, without the packages that are installed beside a library."""
    if Path(path).is_symlink():
        _parent(new + path)
        Path(new + path).symlink_to(Path(path).readlink())
        return
    _bind(path, new + path, writable=False)
    for name in PACKAGES:
        if Path(path, name).is_dir():
            mount("tmpfs", f"{new}{path}/{name}", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=755")


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
        "fonts/fonts.conf": "<fontconfig><cachedir>/tmp/fonts</cachedir></fontconfig>\n",  # plots bring their own
    }
    Path(folder, "fonts").mkdir()
    for name, text in texts.items():
        if not (network and name == "hosts"):
            Path(folder, name).write_text(text)
    for name in (*ETC, *((*ETC_OF_NETWORK, "hosts") if network else ())):
        source = os.path.realpath(f"/etc/{name}")
        if Path(source).exists():
            _bind(source, f"{folder}/{name}", writable=False)


def isolate(specification: Specification, temporary: str) -> str:
    """Isolate this process in namespaces, and return an empty text in the process that is to become the command.

    Two processes remain: this one, which passes signals on and ends as the command does, and the first one of the
    namespace of process ids, with which all others end. Returns the reason if isolation is impossible; a child tries
    first, because a process that failed halfway could not go back.
    """
    new = f"{temporary}/root"
    Path(new).mkdir(exist_ok=True)
    if fault := _tried(specification, temporary, new):
        return fault
    unshare(specification.network)
    reading, writing = os.pipe()
    if first := os.fork():
        os.close(writing)
        supervise(first)
        with open(reading, "rb") as pipe:
            status = pipe.read()
        end_as(int(status) if status else signal.SIGKILL)
    die_with_parent()
    os.close(reading)
    build_root(new, specification, temporary)
    enter(new)
    if command := os.fork():
        hide()
        os.write(writing, str(supervise(command)).encode())
        os._exit(0)
    os.close(writing)
    return ""


def _tried(specification: Specification, temporary: str, new: str) -> str:
    """Return why a child could not be isolated; an empty text if it could."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            unshare(specification.network)
            if first := os.fork():
                os.waitpid(first, 0)
            else:
                build_root(new, specification, temporary)
                enter(new)
        except OSError as error:
            os.write(writing, (error.strerror or str(error)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        fault = pipe.read().decode()
    os.waitpid(child, 0)
    return fault


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
    read = [*SYSTEM, "/sys", *etc, *specification.interpreter, *(source for source, _ in specification.binds)]
    writable = [source for source, target in specification.binds if target in specification.writable]
    return {
        "read": sorted({os.path.realpath(path) for path in read}),
        "write": sorted({os.path.realpath(path) for path in (temporary, *writable)}),
        "devices": [f"/dev/{name}" for name in DEVICES],
        "proc": [f"/proc/{name}" for name in PROC],
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
    if specification.required:
        print(f"{MARK}none ({fault})", flush=True)
        os._exit(1)
    link(specification, temporary)
    hook = Path(temporary, "hook")
    hook.mkdir()
    (hook / "sitecustomize.py").write_bytes(Path(__file__).with_name("audit_hook.py").read_bytes())
    variables = {name: relocated(value, short) for name, value in variables.items()} | {
        "TMPDIR": f"{short}/tmp",
        "USER": HOST_NAME,
        HOOK: json.dumps(permitted(specification, temporary)),
    }
    variables["PYTHONPATH"] = f"{hook}:{variables.get('PYTHONPATH', '')}"
    os.chdir(f"{temporary}{ROOT}/here")
    print(f"{MARK}audit hook in Python processes ({fault}); programs of other kinds are not isolated", flush=True)
    return [relocated(text, short) for text in command], variables


def relocated(text: str, short: str) -> str:
    """Return a path, or several with colons, in which links below ``short`` stand in for the mounts."""
    return ":".join(short + part if part.startswith(f"{ROOT}/") else part for part in text.split(":"))


def main() -> None:
    """Isolate this process, and become the command."""
    parent = os.getppid()
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else no process could be waited for
    with contextlib.suppress(PermissionError):  # it has a session of its own already
        os.setsid()
    if os.getppid() != parent:
        os._exit(1)
    separator = sys.argv.index("--")
    command, variables = prepare(Specification.read(*sys.argv[1:separator]), sys.argv[separator + 1 :])
    reset_process()
    drop_privileges()
    die_with_parent()
    os.execve(command[0], command, variables)


if __name__ == "__main__":
    main()
