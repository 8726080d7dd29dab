"""Audit hook that stands in for a mount namespace: Python's own operations reach nothing but what a step declares.

``sandbox.py`` copies this file as ``sitecustomize.py`` into a folder of the module path, so that every Python process
of the step imports it at its start. It uses only the standard library. It refuses to open, list, change or execute
files outside of the permitted folders, and to use the network. Native code and the existence of files (``stat``) are
out of its reach; docs/hermeticity.md says so.
"""

from __future__ import annotations

import errno
import json
import os
import sys

VARIABLE = "TAPEOUT_AUDIT"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READS = ("os.listdir", "os.scandir", "os.chdir", "ctypes.dlopen", "subprocess.Popen", "os.exec", "os.posix_spawn")
WRITES = (
    *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"),
    *("os.truncate", "os.utime", "sqlite3.connect"),
)
TWO_PATHS = ("os.link", "os.rename")
LOCAL = ("127.", "localhost", "::1", "0.0.0.0", "tapeout")


def install(permitted: dict[str, list[str]]) -> None:
    """Refuse everything that is not permitted, in this process."""
    write = tuple(permitted["write"])
    read = (*permitted["read"], *write)

    def check(path: object, folders: tuple[str, ...]) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # an open file, or none
        name = os.fsdecode(path)
        real = os.path.realpath(name)
        if not any(real == folder or real.startswith(f"{folder}/") for folder in folders):
            error = errno.EROFS if folders is write else errno.ENOENT  # as in a namespace
            raise OSError(error, os.strerror(error), name)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            check(path, write if isinstance(flags, int) and flags & WRITING else read)
        elif event in READS:
            path = arguments[0]
            if not (isinstance(path, str) and os.sep not in path):  # found on PATH or by the linker
                check(path, read)
        elif event in WRITES:
            for path in arguments[: 2 if event in TWO_PATHS else 1]:
                check(path, write)
        elif event in ("socket.connect", "socket.sendto", "socket.getaddrinfo") and not permitted["network"]:
            address = arguments[1] if event != "socket.getaddrinfo" else arguments
            host = address[0] if isinstance(address, tuple) and address else None
            if isinstance(host, str) and host and not host.startswith(LOCAL):
                raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH), host)

    sys.addaudithook(hook)


if VARIABLE in os.environ:
    install(json.loads(os.environ[VARIABLE]))
