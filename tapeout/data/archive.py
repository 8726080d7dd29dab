"""Reading files out of wheels, zip and tar archives, in memory.

Nothing is extracted to disk, so a hostile member name (``../../etc``) is only ever a label, and links and devices are
no files. The caller decides by name and announced size before a byte is unpacked; more than announced is never read.
"""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tapeout.errors import TapeoutError

Wanted = Callable[[str, int], bool]
"""Told a member's name and size in bytes, says whether to read it."""

LINK_MODE, TYPE_MASK = 0o120000, 0o170000


class BrokenArchive(TapeoutError):
    """An archive cannot be read to its end."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The archive {path} cannot be read: {reason}.", "Check the source: is it what it should be?")


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a zip or tar archive, by content and not by name."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def read_archive(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted ordinary files, in the archive's own order.

    Raises:
        BrokenArchive: the archive is cut, damaged or encrypted.
    """
    try:
        if zipfile.is_zipfile(path):
            yield from read_zip(path, wanted)
        else:
            yield from read_tar(path, wanted)
    # zipfile's own errors: RuntimeError for an encrypted member, NotImplementedError for an unknown compression
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError) as error:
        raise BrokenArchive(path, str(error)) from error


def read_zip(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """``read_archive`` for zip files and wheels."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            link = (member.external_attr >> 16) & TYPE_MASK == LINK_MODE
            if not member.is_dir() and not link and wanted(member.filename, member.file_size):
                yield member.filename, archive.read(member)


def read_tar(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """``read_archive`` for tar files, compressed or not."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isreg() and wanted(member.name, member.size):
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()
