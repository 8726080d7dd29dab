"""Notice of writes to files, from the kernel (inotify)."""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

IN_MODIFY, IN_Q_OVERFLOW = 0x2, 0x4000
EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, and length of the name that follows."""
BUFFER = 1 << 16


class Writes:
    """Writes of any process of this machine to files, by any of their hard links, since this was created.

    The kernel does not report writes through shared memory maps or from other hosts, and a limit per user
    (``fs.inotify``) may leave files unwatched; such writes change the times of a file all the same, unless the writer
    resets them.

    Args:
        files: files to watch.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched: dict[int, set[Path]] = {}  # hard links of one file share a watch
        for file in files if self._descriptor >= 0 else ():
            watch = libc.inotify_add_watch(self._descriptor, os.fsencode(file), IN_MODIFY)
            if watch >= 0:
                self._watched.setdefault(watch, set()).add(file)

    def paths(self) -> set[Path]:
        """Return the files that were written; all of them if there were more writes than the kernel notes."""
        found: set[Path] = set()
        with suppress(BlockingIOError):
            while self._descriptor >= 0:
                data = os.read(self._descriptor, BUFFER)
                for watch, mask, _, _ in EVENT.iter_unpack(data):  # events of watched files have no names
                    if mask & IN_MODIFY:
                        found |= self._watched[watch]
                    elif mask & IN_Q_OVERFLOW:
                        found = set().union(*self._watched.values())
        return found

    def close(self) -> None:
        """End watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
