"""Reading files out of wheels, zip and tar archives, in memory.

Nothing is extracted to disk, so a hostile member name (``../../etc``) is only ever a label, and links and devices are
no files. The caller decides by name and announced size before a byte is unpacked; more than announced is never read.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tapeout.errors import TapeoutError

Wanted = Callable[[str, int], bool]
"""Told a member's name and size in bytes, says whether to read it."""

SUFFIXES = (".zip", ".whl", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
"""What an archive is called; one that is cut off is none by its content."""
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # zipfile: an encrypted member
    NotImplementedError,  # zipfile: an unknown compression
    ValueError,  # tarfile: numbers in a header; zipfile: a place before the file's beginning
)
LINK_MODE, TYPE_MASK = 0o120000, 0o170000


class BrokenArchive(TapeoutError):
    """An archive cannot be read to its end."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The archive {path} cannot be read: {reason}.", "Check the source: is it what it should be?")
        self.reason = reason


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a zip or tar archive, by content.

    Raises:
        BrokenArchive: by its name it is one, and by its content it is not.
    """
    try:
        found = zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except DAMAGE as error:
        raise BrokenArchive(path, str(error)) from error
    if not found and path.name.lower().endswith(SUFFIXES):
        raise BrokenArchive(path, "it is neither a zip nor a tar archive, or it is cut off")
    return found


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
    except DAMAGE as error:
        raise BrokenArchive(path, str(error)) from error


def read_zip(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """``read_archive`` for zip files and wheels."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            link = (member.external_attr >> 16) & TYPE_MASK == LINK_MODE
            if not member.filename.endswith("/") and not link and wanted(member.filename, member.file_size):
                yield member.filename, archive.read(member)


def read_tar(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """``read_archive`` for tar files, compressed or not."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isreg() and wanted(member.name, member.size):
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()
