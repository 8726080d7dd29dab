"""Base class of user-facing errors, which state the cause and the fix."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path


class TapeoutError(Exception):
    """Base of all user-facing errors.

    Subclasses live beside the code that raises them, so that a new error never changes the code identity of an
    unrelated step.

    Args:
        cause: one sentence, what is wrong, with the names and values that matter.
        fix: one sentence, what the reader can do about it.
    """

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.cause}\n  fix: {self.fix}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error's sentence about an unknown name: the closest known name, or only the full stop."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def fullest(folders: Iterable[Path]) -> Path | None:
    """Return the folder whose disk has the least free space, of those that exist."""

    def free(folder: Path) -> int:
        disk = os.statvfs(folder)
        out_of_inodes = disk.f_files and not disk.f_favail
        return 0 if out_of_inodes else disk.f_bavail * disk.f_frsize

    return min((folder for folder in folders if folder.is_dir()), key=free, default=None)
