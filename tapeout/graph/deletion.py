"""Deletion of what programs have written: of any depth, and through no link.

Folders are opened one after another relative to the folder above them, with one descriptor at a time, so that neither
the length of a path nor the depth of recursion nor the number of open files is a limit, and nobody who replaces a
folder by a link meanwhile can lead the deletion elsewhere.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass
class _Folder:
    """A folder on the way down: its name in the folder above it, what identifies it, and its folders that wait."""

    name: str
    identity: tuple[int, int]
    waiting: list[str]


def delete(path: Path, ignore_errors: bool = False) -> None:
    """Delete a file, a link or a folder with everything in it; it may be missing.

    Folders without permissions get them, as those of trees of code need. A folder that somebody moves meanwhile is an
    error.

    Args:
        path: the path; links in its parents are followed.
        ignore_errors: continue after an error, and leave what cannot be deleted.

    Raises:
        OSError: something cannot be deleted.
    """
    with contextlib.suppress(OSError) if ignore_errors else contextlib.suppress(FileNotFoundError):
        for folder, name, info in entries(path, writable=True, tolerant=ignore_errors):
            try:
                if stat.S_ISDIR(info.st_mode):
                    os.rmdir(name, dir_fd=folder)
                else:
                    os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                error.filename = str(path) if name == path.name else f"{path}: {name}"
                if not ignore_errors:
                    raise


def entries(path: Path, writable: bool = False, tolerant: bool = True) -> Iterator[tuple[int, str, os.stat_result]]:
    """Yield a path and everything below it, each folder after its content: open folder, name in it, and ``lstat``.

    The open folder is valid until the next one is asked for.

    Args:
        path: the path; nothing is yielded if it is missing.
        writable: give the owner all rights to every folder.
        tolerant: pass over the content of folders that cannot be opened.

    Raises:
        OSError: a folder cannot be opened, or was moved meanwhile.
    """
    try:
        current = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        trail = [_Folder("", _identity(os.fstat(current)), [])]
        if (found := _lstat(path.name, current)) is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            yield current, path.name, found
            return
        trail[0].waiting.append(path.name)
        while True:
            if trail[-1].waiting:
                name = trail[-1].waiting.pop()
                try:
                    below = _open(name, current, writable)
                except OSError as error:
                    if not tolerant and not isinstance(error, FileNotFoundError):
                        error.filename = str(path)
                        raise
                else:
                    os.close(current)
                    current = below
                    folders = []
                    for inside, info in _listed(current):
                        if stat.S_ISDIR(info.st_mode):
                            folders.append(inside)
                        else:
                            yield current, inside, info
                    trail.append(_Folder(name, _identity(os.fstat(current)), folders))
                    continue
            elif len(trail) > 1:
                name = trail.pop().name
                above = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=current)
                os.close(current)
                current = above
                if _identity(os.fstat(current)) != trail[-1].identity:
                    raise OSError(errno.ESTALE, "A folder was moved while it was read", str(path))
            else:
                return
            if (found := _lstat(name, current)) is not None:
                yield current, name, found
    finally:
        os.close(current)


def _open(name: str, above: int, writable: bool) -> int:
    """Open a folder; with all rights of its owner if it is to be ``writable``."""
    if writable:
        place = os.open(name, OPEN_FOLDER | os.O_PATH, dir_fd=above)  # needs no right to the folder itself
        try:
            if os.fstat(place).st_mode & stat.S_IRWXU != stat.S_IRWXU:
                with contextlib.suppress(PermissionError):  # another user's
                    os.chmod(f"/proc/self/fd/{place}", 0o700)
        finally:
            os.close(place)
    return os.open(name, OPEN_FOLDER, dir_fd=above)


def _listed(folder: int) -> list[tuple[str, os.stat_result]]:
    """Return the names in an open folder, each with its ``lstat``."""
    with os.scandir(folder) as scanned:
        names = [entry.name for entry in scanned]
    return [(name, info) for name in names if (info := _lstat(name, folder)) is not None]


def _lstat(name: str, folder: int) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
