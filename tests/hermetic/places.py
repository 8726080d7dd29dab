"""Functions that place a value outside of a step: in files, variables, servers, memory and open files."""

import contextlib
import ctypes
import os
import py_compile
import shutil
import signal
import socket
import sqlite3
import sysconfig
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path

ADD_KEY, KEYCTL = 248, 250
"""Numbers of system calls on x86-64."""
THREADS: list[threading.Thread] = []
KEPT: list[object] = []
"""Sockets, servers and shared memory of this process that must stay open while a program runs."""


@dataclass(frozen=True)
class World:
    """Surroundings of the steps of a test.

    Attributes:
        root: the project.
        outside: a folder beside it.
    """

    root: Path
    outside: Path

    def fill(self, text: str, value: str = "") -> str:
        """Return a text with paths and value."""
        return text.replace("{root}", str(self.root)).replace("{outside}", str(self.outside)).replace("{value}", value)

    def write(self, name: str, text: str) -> Path:
        """Write a file in the project, or at an absolute path."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


Place = Callable[[World, str], None]


def file(name: str, text: str = "{value}") -> Place:
    """Write one file."""
    return lambda world, value: [None, world.write(world.fill(name), world.fill(text, value))][0]


def variables(**values: str) -> Place:
    """Set environment variables of the user."""

    def place(world: World, value: str) -> None:
        os.environ.update({name: world.fill(text, value) for name, text in values.items()})

    return place


def both(*places: Place) -> Place:
    """Do several."""
    return lambda world, value: [None, [place(world, value) for place in places]][0]


def byte_code(source: str, target: str) -> Place:
    """Write byte code of a module with another value, which is used without a look at the module."""

    def place(world: World, value: str) -> None:
        text = world.write("elsewhere.py", f"VALUE = {value!r}\n")
        world.root.joinpath(target).parent.mkdir(exist_ok=True)
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(text), str(world.root / target), str(world.root / source), True, invalidation_mode=mode)

    return place


def archive(world: World, value: str) -> None:
    """Write a zip archive with a module."""
    with zipfile.ZipFile(world.root / "hidden.zip", "w") as packed:
        packed.writestr("hidden.py", f"VALUE = {value!r}\n")


def database(world: World, value: str) -> None:
    """Write a database of SQLite."""
    path = world.outside / "base"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as opened, opened:
        opened.execute(f"create table t as select '{value}'")


def extension(world: World, value: str) -> None:
    """Copy a compiled module of this interpreter."""
    (found,) = Path(sysconfig.get_config_var("DESTSHARED")).glob("_bisect.*.so")
    shutil.copyfile(found, world.outside / "_bisect.so")


def server(family: int, address: object) -> Place:
    """Serve the value at a socket of this machine; the port of an Internet socket is written into a setting."""

    def place(world: World, value: str) -> None:
        listener = socket.socket(family)
        if family == socket.AF_INET:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
        listener.settimeout(60)
        KEPT.append(listener)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(value.encode())
            except OSError:
                pass  # closed at the end of the build

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        THREADS.append(thread)

    return place


def shared(world: World, value: str) -> None:
    """Create POSIX shared memory."""
    block = shared_memory.SharedMemory("tapeout-smuggled", create=True, size=8)
    block.buf[: len(value)] = value.encode()
    KEPT.append(block)


def descriptor(world: World, value: str) -> None:
    """Leave a file open for children."""
    read, write = os.pipe()
    os.write(write, value.encode())
    os.dup2(read, 9, inheritable=True)


def attributes(name: str) -> Place:
    """Change modes and times of everything below a folder of the project."""

    def place(world: World, value: str) -> None:
        for path in [world.root / name, *(world.root / name).rglob("*")]:
            if path.exists():
                path.chmod((0o711 if value == "one" else 0o700) if path.is_dir() else 0o640)
                os.utime(path, (len(value), 1 if value == "one" else 2))

    return place


def leftover(world: World, value: str) -> None:
    """Leave a file in the temporary folder of every earlier attempt."""
    for folder in world.root.glob("work/*"):
        if len(folder.name) == 64:
            world.write(f"{folder}/tmp/tmp/{value}", value)


def scratch(world: World, value: str) -> None:
    """Leave a file in the folder of every earlier attempt."""
    for folder in world.root.glob("work/*"):
        if len(folder.name) == 64:
            world.write(f"{folder}/{value}", value)


def notes(world: World, value: str) -> None:
    """Leave files of the runner and metrics of every earlier attempt."""
    for folder in world.root.glob("work/*"):
        if len(folder.name) == 64:
            for name in ("restarts", "stopped", "progress.json", "stop", "finished"):
                world.write(f"{folder}/{name}", value)
            world.write(f"work/metrics/{folder.name}.jsonl", value)


def session_key(world: World, value: str) -> None:
    """Add a key to a new keyring of this process's session, if the system has keyrings."""
    libc = ctypes.CDLL(None)
    libc.syscall(KEYCTL, 1, None)
    libc.syscall(ADD_KEY, b"user", b"tapeout", value.encode(), len(value), -3)


def blocked_signal(world: World, value: str) -> None:
    """Block a signal, or ignore another."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGALRM] if value == "one" else [])
    signal.signal(signal.SIGUSR2, signal.SIG_DFL if value == "one" else signal.SIG_IGN)


def release() -> None:
    """Close everything that ``place`` has opened."""
    for thing in KEPT:
        if isinstance(thing, shared_memory.SharedMemory):
            thing.unlink()
        if isinstance(thing, socket.socket):
            thing.shutdown(socket.SHUT_RDWR)  # ends the thread that waits for a client
        thing.close()  # type: ignore[attr-defined]
    for thread in THREADS:
        thread.join(60)
    KEPT.clear()
    THREADS.clear()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
