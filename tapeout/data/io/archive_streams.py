"""Files in zip and tar archives as streams, for what is larger than the memory.

As in ``tapeout.data.io.archives`` nothing is extracted to disk, links and devices are no files, and the caller decides by
name and announced size.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tapeout.data.io.archives import DAMAGE, LINK_MODE, TYPE_MASK, BrokenArchive, Wanted, is_archive


def opened_as_archive(path: Path, name: str) -> bool:
    """Whether a file is a zip or tar archive, by content.

    Raises:
        BrokenArchive: by its name it is one, and by its content it is not.
    """
    try:
        if is_archive(path):
            return True
    except BrokenArchive as error:
        raise BrokenArchive(Path(name), error.reason) from error
    if name.lower().endswith(".tar.zst"):
        raise BrokenArchive(Path(name), "tar archives packed with zstd are not read; pack it with gzip")
    return False


@contextmanager
def named(name: str) -> Iterator[None]:
    """What archives raise, as a named error.

    Raises:
        BrokenArchive: the archive is cut, damaged or encrypted.
    """
    try:
        yield
    except DAMAGE as error:
        raise BrokenArchive(Path(name), str(error) or type(error).__name__) from error


def members(path: Path, wanted: Wanted) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and stream of the wanted ordinary files, in the archive's own order; each stream is read at once.

    Raises:
        ``DAMAGE``; see ``named``, which also covers the reading of the streams.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                link = (info.external_attr >> 16) & TYPE_MASK == LINK_MODE
                if not info.filename.endswith("/") and not link and wanted(info.filename, info.file_size):
                    with archive.open(info) as stream:
                        yield info.filename, stream
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isreg() and wanted(member.name, member.size):
                    found = tar.extractfile(member)
                    if found is not None:
                        yield member.name, found
