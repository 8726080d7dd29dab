"""Audit hook that stands in for a mount namespace: Python's own operations reach nothing but what a step declares.

``sandbox.py`` copies this file as ``sitecustomize.py`` into the first folder of the module path, so that the Python
processes of the step import it at their start. It uses only the standard library. It refuses to open, list, change or
execute files outside of the permitted folders, and to use the network. Native code, isolated children (``python -I``),
operations without an event (``ATTACH`` of SQLite, ``_posixsubprocess.fork_exec``), links (``readlink``) and existence,
size and times of files (``stat``) are out of its reach; docs/hermeticity.md says so.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import posix
import sys
from collections.abc import Callable
from typing import Any

VARIABLE = "TAPEOUT_AUDIT"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READS = (
    *("os.listdir", "os.scandir", "os.chdir", "os.getxattr", "os.listxattr", "ctypes.dlopen", "subprocess.Popen"),
    *("os.exec", "os.posix_spawn", "os.fwalk"),
)
ON_PATH = ("ctypes.dlopen", "subprocess.Popen", "os.exec", "os.posix_spawn")
"""Operations that look up a plain name, in folders of the system."""
WRITES = (
    *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"),
    *("os.truncate", "os.utime", "os.setxattr", "sqlite3.connect"),
)
NEW_NAME = ("os.link", "os.rename", "os.symlink")
"""Operations whose second path is a name that they make."""
FOLDERS = {
    **{"os.link": (2, 3), "os.rename": (2, 3), "os.symlink": (None, 2)},
    **{"os.remove": (1,), "os.rmdir": (1,), "os.mkdir": (2,), "os.chmod": (2,), "os.chown": (3,), "os.utime": (3,)},
}
"""Positions of the open folders to which the paths of an operation are relative."""
ADDRESS = ("socket.connect", "socket.sendto", "socket.sendmsg")
HOST = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
LOCAL_NAMES = ("", "localhost", "tapeout")


def install(permitted: dict[str, list[str]]) -> None:
    """Refuse everything that is not permitted, in this process."""
    write = (*permitted["write"], *permitted["devices"])
    read = (*permitted["read"], *write, *permitted["proc"])

    def check(path: object, folders: tuple[str, ...]) -> None:
        if isinstance(path, int) and folders is read:
            path = f"/proc/self/fd/{path}"  # a folder that was opened
        elif not isinstance(path, str | bytes | os.PathLike):
            return  # an open file, or none
        name = os.fsdecode(path)
        real = os.path.realpath(name.removeprefix("file:").partition("?")[0] if name.startswith("file:") else name)
        own = folders is read and real.startswith((f"/proc/{os.getpid()}/", "pipe:", "socket:", "anon_inode:"))
        if not own and not any(real == folder or real.startswith(f"{folder}/") for folder in folders):
            error = errno.EROFS if folders is write else errno.ENOENT  # as in a namespace
            raise OSError(error, os.strerror(error), name)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, int):
                check(path, write if isinstance(flags, int) and flags & WRITING else read)
        elif event in READS:
            path = arguments[0]
            if event not in ON_PATH or not isinstance(path, str) or os.sep in path:
                check("." if path is None else path, read)
        elif event in WRITES:
            for number, path in enumerate(arguments[: 2 if event in NEW_NAME else 1]):
                position = (*FOLDERS.get(event, ()), None, None)[number]
                check(path if position is None else _below(path, arguments[position]), write)
        elif event == "import":
            check(arguments[1], read)  # the file of an extension; None for a module
        elif event in (*ADDRESS, *HOST) and not permitted["network"]:
            address = arguments[-1 if event in ADDRESS else 0]
            host = address[0] if isinstance(address, tuple) and address else address
            if event in HOST or isinstance(address, tuple):
                _check_host(host)

    os.open = posix.open = _with_folder(os.open, check, read, write)
    sys.addaudithook(hook)


def _check_host(host: object) -> None:
    name = os.fsdecode(host) if isinstance(host, str | bytes) else ""
    try:
        local = ipaddress.ip_address(name).is_loopback or name == "0.0.0.0"
    except ValueError:
        local = name in LOCAL_NAMES
    if not local:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH), name)


def _below(path: object, folder: object) -> object:
    """Return the path that is relative to an open folder, if there is one."""
    if not isinstance(path, str | bytes | os.PathLike) or not isinstance(folder, int) or folder < 0:
        return path
    return os.path.join(os.path.realpath(f"/proc/self/fd/{folder}"), os.fsdecode(path))


def _with_folder(
    opened: Callable[..., int],
    check: Callable[[object, tuple[str, ...]], None],
    read: tuple[str, ...],
    write: tuple[str, ...],
) -> Callable[..., int]:
    """Return ``os.open`` with a check of paths that are relative to an open folder, which its event does not have."""

    def checked(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            check(_below(path, dir_fd), write if flags & WRITING else read)
        return opened(path, flags, mode, dir_fd=dir_fd)

    return checked


if VARIABLE in os.environ:
    install(json.loads(os.environ[VARIABLE]))
