"""Folder of a store: files that several users read and write, any of whom may have put something else in their place.

Nothing in it is followed if it is a link, and nothing is opened that is not a regular file: what is in the place of a
file that the store needs is moved to ``quarantine/``.
"""

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from tapeout.graph.errors import NotWritable
from tapeout.graph.files import SHARING_FIX, only_regular, unused_path, write_atomically

NOT_PERMITTED = {errno.EACCES, errno.EPERM, errno.EROFS}
UMASK_LOCK = threading.Lock()
"""Held while a thread changes the umask of the process."""


@dataclass(frozen=True)
class StoreFolder:
    """Folder that any number of users may share.

    If the group may write ``root``, it may write everything created in it, regardless of the creator's umask. All
    methods that write raise ``NotWritable`` if the user has no permission, unless their docstring states otherwise.
    """

    root: Path

    @cached_property
    def _shared(self) -> bool:
        self.root.mkdir(parents=True, exist_ok=True)
        return bool(self.root.stat().st_mode & stat.S_IWGRP)

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """Create the folder of ``path``, and turn missing permissions into a named error.

        Raises:
            NotWritable: this user may not write the folder or something in it.
        """
        try:
            self.make_folder(path.parent)
            yield
        except OSError as error:
            if error.errno not in NOT_PERMITTED:
                raise
            raise NotWritable(f"{error.filename or path} cannot be written.", SHARING_FIX) from error

    def open(self, path: Path, mode: str) -> IO[bytes]:
        """Open a file without a buffer; the group may write it if it may write the store."""
        with self.writing(path), self._group_umask():
            self.clear(path)
            return open(path, mode, buffering=0, opener=_no_link)

    def write(self, path: Path, data: bytes) -> None:
        """Write a small file of the store atomically; the group may write it if it may write the store."""
        with self.writing(path), self._group_umask():
            self.clear(path)
            write_atomically(path, data)

    def make_folder(self, path: Path) -> None:
        """Create a folder of the store with its parents."""
        if not path.is_dir():
            with self._group_umask():
                path.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _group_umask(self) -> Iterator[None]:
        if not self._shared:
            yield
            return
        with UMASK_LOCK:
            before = os.umask(0o077)
            os.umask(before & ~0o070)
            try:
                yield
            finally:
                os.umask(before)

    def clear(self, path: Path) -> None:
        """Quarantine what is in the place of a file, unless it is a regular file."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                self.quarantine(path)

    def quarantine(self, path: Path) -> None:
        """Move a damaged file to ``quarantine/``, under its own name.

        In a store that this user cannot write it stays where it is; it is not used there either.
        """
        target = self.root / "quarantine" / path.name
        with contextlib.suppress(FileNotFoundError, NotWritable):
            if target.parent.is_symlink():
                target.parent.unlink()
            with self.writing(target):
                path.rename(unused_path(target))


def _no_link(path: str, flags: int) -> int:
    return only_regular(path, flags | os.O_NOFOLLOW)
