"""File operations that survive crashes, full disks, other users and slow shared file systems."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tapeout.graph.errors import DiskFull, InputChanged, NotWritable, UnreadableState

SHARING_FIX = "Let the group write it (chgrp, chmod g+ws), or read it as TAPEOUT_REMOTE: docs/store.md."
LATE_SECONDS = "TAPEOUT_LATE_SECONDS"
"""Environment variable: how many seconds a shared file system may lag; a run on one machine does not wait."""
RETRY_INTERVAL = 0.5
"""Seconds between two reads of a file that is not visible yet."""

T = TypeVar("T")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that readers, and the next run after a crash, see the old or the new content in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a small file only if its content differs; return whether it was written."""
    if path.exists() and path.read_bytes() == data:
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

    Raises:
        NotWritable: the file belongs to another user.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open(path, "a+")  # noqa: SIM115 - closed below
    except PermissionError as error:
        raise NotWritable(f"{path} cannot be written.", SHARING_FIX) from error
    with file:
        fcntl.flock(file, mode)
        yield


@contextlib.contextmanager
def report_disk_full() -> Iterator[None]:
    """Raise ``DiskFull`` in place of the system's error."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"No space is left on the device of {error.filename or 'the run'}.",
            "Free some space and run again; no incomplete result was kept.",
        ) from error


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
