"""Unpacking of archives, so that their members are compared like the files of an artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeout.compare.file_comparison import Unreadable
from tapeout.guard import tar, zip
from tapeout.guard.errors import UnusableModel
from tapeout.guard.tar import MAX_RATIO, MIN_UNPACKED

MAX_DEPTH = 4
"""Archives that lie in each other."""
SUFFIXES = (".nemo", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".whl", ".zip")


def archive_suffix(name: str) -> str:
    """Return the archive suffix of a lower-case file name, or an empty string if it is not an archive."""
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


class Unpacking:
    """Bound of a comparison on what it unpacks: archives lie in archives, and each could be a hundred times its size.

    Attributes:
        left: bytes that may still be unpacked.
        depth: number of archives around the next one.
    """

    def __init__(self, compared: int) -> None:
        """Begin a comparison of files with ``compared`` bytes together."""
        self.left, self.depth = max(MIN_UNPACKED, MAX_RATIO * compared), 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Compare the members of an archive.

        Raises:
            Unreadable: too many archives lie in each other.
        """
        if self.depth == MAX_DEPTH:
            raise Unreadable(f"It is inside {MAX_DEPTH} other archives.", "Unpack the outer ones first.")
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def unpack(self, archive: Path, folder: Path, what: str) -> None:
        """Unpack an archive within the bound; see ``unpack`` for the errors."""
        self.left -= unpack(archive, folder, what, self.left)


def unpack(archive: Path, folder: Path, what: str, max_bytes: int | None = None) -> int:
    """Unpack into an existing empty folder, and return the bytes; times, owners and the order are ignored.

    Raises:
        Unreadable: it is damaged or too large, or contains a link, a device, a repeated name or a path outside it.
    """
    with open(archive, "rb") as file:
        is_zip = file.read(len(zip.MAGIC)) == zip.MAGIC
    try:
        if is_zip:
            return zip.unzip(archive, folder, what, max_bytes)
        return tar.unpack(archive, folder, what, max_bytes=max_bytes)
    except UnusableModel as error:
        raise Unreadable(error.cause, error.fix) from error
