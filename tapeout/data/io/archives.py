"""Read the files in wheels, zip and tar archives without extracting them.

Nothing is written to disk, so a hostile member name (``../../etc``) is only a label. Links, devices and sparse files
are skipped. The caller selects members by name and announced size before a byte is unpacked; more than announced is
never read.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tapeout.data.errors import UnreadableFile

Selector = Callable[[str, int], bool]
"""Function that decides from a member's name and size in bytes whether to read it."""

SUFFIXES = (".zip", ".whl", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
"""Names of archives; a truncated archive is recognized by its name only."""
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # zipfile: an encrypted member; its subclass NotImplementedError: an unknown compression
    ValueError,  # tarfile: numbers in a header; zipfile: a negative offset
)
LINK_MODE, TYPE_MASK = 0o120000, 0o170000
WINDOWS = 0
"""System on which an archive was made; .NET wrote ``\\`` between folders, and patterns expect ``/``."""


def is_archive(path: Path, name: str = "") -> bool:
    """Return whether a file is a zip or tar archive, by its content.

    Args:
        path: the file.
        name: the file's name in error messages; ``path`` if empty.

    Raises:
        UnreadableFile: its name is that of an archive, and its content is not.
    """
    with archive_errors(name or path):
        recognized = zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    if not recognized and path.name.lower().endswith(SUFFIXES):
        raise UnreadableFile(name or path, "it is neither a zip nor a tar archive, or it is truncated")
    return recognized


@contextmanager
def archive_errors(name: Path | str) -> Iterator[None]:
    """Turn the exceptions of the archive libraries into ``UnreadableFile``."""
    try:
        yield
    except DAMAGE as error:
        raise UnreadableFile(name, str(error) or type(error).__name__) from error


def members(path: Path, wanted: Selector) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and stream of the selected ordinary files, in the archive's order.

    A stream is valid until the next one is requested. Wrap the iteration in ``archive_errors``, which also covers the
    reading of the streams.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                link = (info.external_attr >> 16) & TYPE_MASK == LINK_MODE
                name = info.filename.replace("\\", "/") if info.create_system == WINDOWS else info.filename
                if not name.endswith("/") and not link and wanted(name, info.file_size):
                    with archive.open(info) as stream:
                        yield name, stream
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isreg() and not member.issparse() and wanted(member.name, member.size):
                    content = tar.extractfile(member)
                    if content is not None:
                        yield member.name, content
            _check_end(tar)


def _check_end(tar: tarfile.TarFile) -> None:
    """Check that the members end with a block of zeros: tarfile also stops, silently, at a damaged header."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is damaged or truncated, because it does not end with a block of zeros")


def read_archive(path: Path, wanted: Selector) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the selected ordinary files, in the archive's order.

    Raises:
        UnreadableFile: the archive is truncated, damaged or encrypted.
    """
    with archive_errors(path):
        for name, stream in members(path, wanted):
            yield name, stream.read()
