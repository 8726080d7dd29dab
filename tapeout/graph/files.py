"""File operations that survive crashes, full disks, other users and slow shared file systems."""

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tapeout.errors import TapeoutError
from tapeout.graph.disk_space import OUT_OF_SPACE, disk_full
from tapeout.graph.errors import InputChanged, InvalidFolder, NotAPlainFile, NotWritable, UnreadableState
from tapeout.graph.locks import acquire

SHARING_FIX = "Let the group write it (chgrp, chmod g+ws), or read it as TAPEOUT_REMOTE: docs/store.md."
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
GONE = {errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO, errno.ETIMEDOUT, errno.EBUSY}
"""Errors of a network file system, or a device, that went away."""
OF_ANOTHER_KIND = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP}
"""Errors of a path where a file is needed as a folder, or a folder as a file."""
SYSTEM_ERROR = re.compile(r"\[Errno (\d+)\] ([^:'\n]*)(?:: '([^'\n]*)')?(?: -> '([^'\n]*)')?")
"""A system error as Python prints it."""
NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""Start of Python's message."""
MAX_SIZE = 1 << 30
"""Bytes of a file that is read whole; an entry of the store with a million files is smaller."""
LATE_SECONDS = "TAPEOUT_LATE_SECONDS"
"""Environment variable: how many seconds a shared file system may lag; a run on one machine does not wait."""
RETRY_INTERVAL = 0.5
"""Seconds between two reads of a file that is not visible yet."""

T = TypeVar("T")


def only_regular(path: str, flags: int) -> int:
    """Open a regular file; the ``opener`` of every file of a run and its store. Opening a pipe could wait forever.

    Raises:
        NotAPlainFile: it is a pipe, a socket or a device.
    """
    refused = NotAPlainFile(f"{path} is not a regular file, and one is needed there.", "Move away what is there.")
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)  # no effect on regular files
    except OSError as error:
        if error.errno == errno.ENXIO and Path(path).exists():  # a socket, or a pipe without a reader
            raise refused from error
        raise
    if stat.S_IFMT(os.fstat(descriptor).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
        return descriptor  # ``open`` refuses folders itself
    os.close(descriptor)
    raise refused


def read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        NotAPlainFile: it is a pipe, a socket or a device.
    """
    with open(path, "rb", opener=only_regular) as file:
        return file.read()


def read_plain(path: Path) -> bytes:
    """Return the content of a regular file that is no link.

    Raises:
        FileNotFoundError: there is nothing, or no folder.
        NotAPlainFile: it is a link, a folder, a pipe, a socket or a device, or larger than any file that is read whole.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: only_regular(name, flags | os.O_NOFOLLOW)) as file:
            if os.fstat(file.fileno()).st_size > MAX_SIZE:
                raise NotAPlainFile(f"{path} is larger than {MAX_SIZE} bytes.", "Move it away.")
            return file.read()
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
        raise NotAPlainFile(f"{path} is not a regular file.", "Move away what is there.") from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        NotAPlainFile: see ``read_file``.
        ValueError: it is not JSON, or nested too deeply.
    """
    return parse_json(read_file(path))


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that readers, and the next run after a crash, see the old or the new content in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with written_file(path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a small file only if its content differs; return whether it was written."""
    if path.exists() and read_file(path) == data:
        return False
    write_atomically(path, data)
    return True


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file with its mode and times; ``target`` is never incomplete."""
    temporary = temporary_path(target)
    try:
        shutil.copyfile(source, temporary)
        shutil.copystat(source, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def settle(path: Path, mode: int, time_ns: int) -> None:
    """Give a file or folder, but not a link, a mode and a modification time, unless it has them.

    Raises:
        PermissionError: it belongs to another user.
    """
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return
    if stat.S_IMODE(info.st_mode) != mode:
        path.chmod(mode)
    if info.st_mtime_ns != time_ns:
        os.utime(path, ns=(time_ns, time_ns))


def link_or_copy(source: Path, target: Path) -> None:
    """Create a hard link, or a copy where the file system cannot link."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP}:
            raise
        copy_atomically(source, target)


def temporary_path(path: Path) -> Path:
    """Return a hidden name beside ``path`` that no other process uses; hosts may share a process id."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def unused_path(path: Path) -> Path:
    """Return ``path`` with the first numeric suffix that does not exist yet."""
    number = 0
    while os.path.lexists(candidate := path.with_name(f"{path.name}.{number}")):
        number += 1
    return candidate


@contextlib.contextmanager
def file_lock(path: Path, mode: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock file, exclusively or (``LOCK_SH``) shared; the system releases it when the process ends.

    A wait for another process is reported (``locks.acquire``).

    Raises:
        NotWritable: the file belongs to another user.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open(path, "ab+", buffering=0, opener=only_regular)  # noqa: SIM115 - closed below
    except PermissionError as error:
        raise NotWritable(f"{path} cannot be written.", SHARING_FIX) from error
    with file:
        acquire(file, mode)
        yield


@contextlib.contextmanager
def written_file(path: Path) -> Iterator[None]:
    """Add the name of a file to an error of writing it, in which the system has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def report_disk_errors() -> Iterator[None]:
    """Raise the errors of ``disk_error`` in place of the system's."""
    try:
        yield
    except OSError as error:
        named = disk_error(error)
        if named is None:
            raise
        raise named from error


def disk_error(error: OSError) -> TapeoutError | None:
    """Return the named error for an operation that a disk or its permissions refuse; None for any other error.

    Of two paths the second is the one that is written.
    """
    path = error.filename2 or error.filename
    if error.errno in OUT_OF_SPACE:
        reason = "" if error.errno == errno.ENOSPC else os.strerror(error.errno)
        return disk_full(None if path is None else os.fsdecode(path), reason)
    if error.errno in REFUSED or (error.errno in GONE and path is not None):
        return NotWritable(
            f"{path or 'A file of the run'}: {os.strerror(error.errno)}.",
            "Let this user read and write it, or repair the disk; then run the same command again.",
        )
    if (
        error.errno in {*OF_ANOTHER_KIND, errno.ENOENT}
        and path is not None
        and (cause := _obstacle(Path(os.fsdecode(path)), error.errno == errno.ENOENT)) is not None
    ):
        return InvalidFolder(cause, "Move away what is there, or correct the link or the variable that leads there.")
    if error.errno == errno.ENOENT and path is not None and Path(os.fsdecode(path)).absolute().is_relative_to("/proc"):
        return NotWritable(f"{path} cannot be created: /proc takes no files.", "Name a folder on a disk.")
    if error.errno == errno.ENAMETOOLONG:
        return InvalidFolder(f"The path {path} is too long for this system.", "Use a shorter path.")
    if error.errno == errno.ENOENT and (error.strerror or "").startswith(NO_TEMPORARY_FOLDER):
        return NotWritable(
            "No folder for temporary files can be written; their disks may be full.",
            "Free some space there, or set TMPDIR to a folder that this user can write.",
        )
    return None


def _obstacle(path: Path, only_links: bool) -> str | None:
    """Return a sentence about the part of a path that is not of the kind that an operation needs.

    Args:
        path: the path.
        only_links: look for broken links only; a program without its interpreter gives the same error.
    """
    with contextlib.suppress(PermissionError):  # this user cannot see where a link leads
        for part in reversed([path, *path.parents]):
            if part.is_symlink() and not part.exists():
                return f"{part} is a link to {part.readlink()}, which does not exist."
            if not only_links and part.exists() and not part.is_dir():
                return f"{part} is not a folder, and a folder is needed there."
    if only_links:
        return None
    return f"{path} is a folder, and a file is needed there." if path.is_dir() else None


def error_in(text: str) -> TapeoutError | None:
    """Return the named error for a system error in a traceback or message, as ``disk_error`` does."""
    found = list(SYSTEM_ERROR.finditer(text))
    if not found:
        return None
    number, reason, path, other = found[-1].groups()
    return disk_error(OSError(int(number), reason, path, None, other))


def retry_until_visible(read: Callable[[], T]) -> T:
    """Call ``read`` until it succeeds: what another node wrote may be visible here only seconds later.

    Raises:
        InputChanged, UnreadableState: it still fails after ``TAPEOUT_LATE_SECONDS``.
    """
    end = time.monotonic() + float(os.environ.get(LATE_SECONDS, "0"))
    while True:
        try:
            return read()
        except (InputChanged, UnreadableState):
            if time.monotonic() >= end:
                raise
            time.sleep(RETRY_INTERVAL)
