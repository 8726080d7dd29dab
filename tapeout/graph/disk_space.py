"""The file system that is full: where it is mounted, and how much space it has."""

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.console import format_size
from tapeout.program import DiskFull

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
RUN_FOLDERS = ("results", "work", "store", "logs", ".snakemake", "/tmp")
VARIABLES = ("TAPEOUT_STORE", "TAPEOUT_DOWNLOADS", "TMPDIR")
"""Environment variables that name further folders of a run."""
OF_PROGRAM = re.compile(rf"{DiskFull.__name__}: No space is left on the device of (.*)\.")
"""The message of a program, which may see its files under other paths (``tapeout.program.DiskFull.of``)."""
NEARLY_FULL = 1 << 20
"""Bytes; a file system with less free space cannot take a file of usual size."""


@dataclass(frozen=True)
class FileSystem:
    """A file system.

    Attributes:
        mount: where it is mounted.
        free: bytes that a user may still write; 0 if it can take no more files.
        size: bytes in all.
    """

    mount: Path
    free: int
    size: int

    @classmethod
    def of(cls, path: Path) -> "FileSystem":
        """Return the file system of a path, or of the nearest folder above it that exists."""
        place = path.absolute()
        while not place.exists():
            place = place.parent
        place = place.resolve()
        disk = os.statvfs(place)
        device = place.stat().st_dev
        while place != place.parent and place.parent.stat().st_dev == device:
            place = place.parent
        takes_files = disk.f_favail or not disk.f_files
        return cls(place, disk.f_bavail * disk.f_frsize if takes_files else 0, disk.f_blocks * disk.f_frsize)


def disk_full(path: str | None, reason: str = "") -> DiskFull:
    """Return the error for a file that could not be written; every ``DiskFull`` of the build graph is made here.

    Args:
        path: the file, if it is known. If this process does not see it, or its file system has space while that of
            another folder of the run is full, that folder is named instead.
        reason: what the system says, if it is not that the file system is full but e.g. a quota.
    """
    own = _space([Path(path)] if path is not None else [])
    others = _space(Path(name) for name in (*RUN_FOLDERS, *filter(None, map(os.environ.get, VARIABLES))))
    full = [disk for disk in (*own.values(), *others.values()) if disk.free <= NEARLY_FULL]
    found = own if own and (reason or not full or any(disk in full for disk in own.values())) else others
    if not found:
        return _error(f"No space is left for {path or 'a file of the run'}", reason)
    place, disk = min(found.items(), key=lambda item: item[1].free)
    space = f"{format_size(disk.free)} free of {format_size(disk.size)}"
    return _error(f"No space is left on the file system at {disk.mount} ({place}): {space}", reason)


def disk_full_in(text: str) -> DiskFull | None:
    """Return the error for the message of a program whose disk was full; None for any other message."""
    message = OF_PROGRAM.fullmatch(text)
    return None if message is None else disk_full(message[1])


def _error(cause: str, reason: str) -> DiskFull:
    return DiskFull(
        f"{cause}{f', {reason}' if reason else ''}.",
        "Free some space there, or raise the quota, and run the same command again; nothing incomplete was kept.",
    )


def _space(paths: Iterable[Path]) -> dict[Path, FileSystem]:
    """Return the file systems of the paths that exist, or can be created; one that does not answer is left out."""
    found = {}
    for path in paths:
        try:
            if path.parent.is_dir():
                found[path] = FileSystem.of(path)
        except OSError:
            continue
    return found
