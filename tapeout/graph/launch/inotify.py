"""Notice of writes to files and of changes in folders, from the kernel (inotify)."""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

IN_MODIFY, IN_Q_OVERFLOW, IN_ONLYDIR = 0x2, 0x4000, 0x1000000
IN_NAMES = 0x40 | 0x80 | 0x100 | 0x200
"""A name in a folder was renamed (from, to), created or deleted."""
EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, and length of the name that follows."""
BUFFER = 1 << 16
ANY, ITSELF = "/", ""
"""Names for which events of a watch count: all of a folder, and that of a watched file, whose events have none."""


class Changes:
    """Changes of files and folders by any process of this machine since this was created.

    A write is noticed whichever hard link of the file is used. The kernel does not report writes through shared memory
    maps or from other hosts; they change the times of a file all the same, unless the writer resets them.

    Args:
        files: files that are watched for writes. They, and the folders in which they are, are watched for replacement.
        folders: folders that are watched for every name that is added, removed or renamed in them.
        top: folder with all files; it is watched for replacement, by its name and by that to which it is a link, and
            those above it are not.

    Attributes:
        is_complete: False if something is not watched, usually because of a limit per user (``fs.inotify``).
    """

    def __init__(self, files: Iterable[Path], folders: Iterable[Path], top: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.is_complete = self._descriptor >= 0
        self._watched: dict[int, dict[str, set[Path]]] = {}  # hard links of one file share a watch
        wanted: dict[Path, dict[str, Path]] = {folder: {ANY: folder} for folder in folders}
        replaceable: set[Path] = set()
        for path in [*files, *wanted]:
            if path not in wanted:
                wanted[path] = {ITSELF: path}
            while path not in replaceable and top in path.parents:
                replaceable.add(path)
                path = path.parent
        replaceable |= {top, top.resolve()} if wanted else set()
        for path in replaceable:
            wanted.setdefault(path.parent, {})[path.name] = path
        for path, names in wanted.items() if self.is_complete else ():
            mask = IN_MODIFY if ITSELF in names else IN_NAMES | IN_ONLYDIR
            watch = libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
            self.is_complete &= watch >= 0
            for name, changed in names.items() if watch >= 0 else ():
                self._watched.setdefault(watch, {}).setdefault(name, set()).add(changed)

    def paths(self) -> set[Path]:
        """Return what was changed since the last call; everything if there were more changes than the kernel notes."""
        found: set[Path] = set()
        with suppress(BlockingIOError):
            while self._descriptor >= 0:
                data = os.read(self._descriptor, BUFFER)
                while data:
                    watch, mask, _, length = EVENT.unpack_from(data)
                    name = os.fsdecode(data[EVENT.size : EVENT.size + length].rstrip(b"\0"))
                    data = data[EVENT.size + length :]
                    if mask & IN_Q_OVERFLOW:
                        found.update(*(paths for names in self._watched.values() for paths in names.values()))
                    elif mask & (IN_MODIFY | IN_NAMES):
                        found |= self._watched[watch].get(name, set())
                        found |= {folder / name for folder in self._watched[watch].get(ANY, ())}
        return found

    def close(self) -> None:
        """End watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
