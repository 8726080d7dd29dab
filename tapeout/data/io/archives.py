"""Read the files in wheels, zip and tar archives without extracting them.

Nothing is written to disk, so a hostile member name (``../../etc``) is only a label. A hard link in a tar archive is
the file that it names; symbolic links, devices and sparse files are skipped. Of several members with one name the last
counts, as for programs that extract archives. Of archives that were joined end to end, such programs read one and say
nothing; here they are an error. The caller selects members by name and announced size before a byte is
unpacked; more than announced is never read.
"""

import contextlib
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeVar

from tapeout.data.errors import UnreadableFile
from tapeout.data.io.bounded import check_total, open_bounded

Member = TypeVar("Member")
Selector = Callable[[str, int], bool]
"""Function that decides from a member's name and size in bytes whether to read it."""
Skipped = Callable[[str, str], None]
"""Function that is called with the name of a member that is never read, and the reason."""
REPLACED, LINK = "replaced by a later member of the archive", "link or special file"

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
SEVERAL = "it is several archives, joined end to end; pack their files into one"
CHUNK = 2**20
MAX_MEMBERS = 1 << 22
"""Members of a tar archive, whose names are in memory together."""
ZIP_END, ZIP_END_BYTES, ZIP_COMMENT_SIZE = b"PK\x05\x06", 22, slice(20, 22)
MAX_ZIP_COMMENT = 2**16 - 1
"""Record at the end of a zip archive: first bytes, size, and where it states the size of the comment after it."""


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


@contextlib.contextmanager
def archive_errors(name: Path | str) -> Iterator[None]:
    """Turn the exceptions of the archive libraries into ``UnreadableFile``."""
    try:
        yield
    except DAMAGE as error:
        raise UnreadableFile(name, str(error) or type(error).__name__) from error


def members(
    path: Path, wanted: Selector, skipped: Skipped = lambda name, reason: None
) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and stream of the selected files, in the archive's order.

    A stream is valid until the next one is requested. Wrap the iteration in ``archive_errors``, which also covers the
    reading of the streams.

    Args:
        path: the archive.
        wanted: selects files.
        skipped: function called for each file that is never read, selected or not.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_begin(path, archive)
            total = 0
            files = [(_zip_name(info), info) for info in archive.infolist() if not _zip_name(info).endswith("/")]
            for name, info in _last_of_each_name(files, skipped):
                if (info.external_attr >> 16) & TYPE_MASK == LINK_MODE:
                    skipped(name, LINK)
                elif wanted(name, info.file_size):
                    total += info.file_size  # members may overlap
                    check_total(total, path.stat().st_size)
                    with archive.open(info) as stream:
                        yield name, stream
    else:
        with _open_tar(path) as tar:
            # the headers are read first, which decompresses the archive once more: a member may be replaced later
            resolved = list(_resolved(tar))
            _check_end(tar)
            for name, member in _last_of_each_name(resolved, skipped):
                content = tar.extractfile(member) if member is not None and wanted(name, member.size) else None
                if member is None:
                    skipped(name, LINK)
                elif content is not None:
                    yield name, content


@contextlib.contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive; zeros after an xz stream are padding, which ``tarfile`` takes for another stream."""
    with open_bounded(path) as plain, tarfile.open(fileobj=plain, mode="r:") as tar:
        yield tar


def _zip_name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/") if info.create_system == WINDOWS else info.filename


def _resolved(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo | None]]:
    """Yield name and regular file of each member but folders; None if there is none, or only parts of it."""
    files: dict[str, tarfile.TarInfo | None] = {}
    for number, member in enumerate(tar, start=1):
        if number > MAX_MEMBERS:
            raise tarfile.ReadError(f"it has more than {MAX_MEMBERS:,} members")
        if not member.isdir():
            plain = member if member.isreg() and not member.issparse() else None
            target = files.get(_place(member.linkname)) if member.islnk() else plain
            files[_place(member.name)] = target
            yield member.name, target


def _last_of_each_name(files: Sequence[tuple[str, Member]], skipped: Skipped) -> Iterator[tuple[str, Member]]:
    last = {_place(name): index for index, (name, _) in enumerate(files)}
    for index, (name, member) in enumerate(files):
        if last[_place(name)] == index:
            yield name, member
        else:
            skipped(name, REPLACED)


def _place(name: str) -> str:
    """Return a member's name as the path to which it would be extracted: ``./a.v`` and ``/a.v`` are ``a.v``."""
    return posixpath.normpath(name.lstrip("/"))


def _check_end(tar: tarfile.TarFile) -> None:
    """Check that the members end with a block of zeros: tarfile also stops, silently, at a damaged header."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is damaged or truncated, because it does not end with a block of zeros")
    ended = False
    while chunk := tar.fileobj.read(CHUNK):  # to the end, where decompression compares the checksum
        start = 0 if ended else (len(chunk) - len(chunk.lstrip(b"\0"))) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
        if not ended and start < len(chunk):
            ended = True
            with contextlib.suppress(tarfile.HeaderError):  # anything but a header is what some programs leave there
                tarfile.TarInfo.frombuf(chunk[start : start + tarfile.BLOCKSIZE], tarfile.ENCODING, "surrogateescape")
                raise tarfile.ReadError(SEVERAL)


def _check_begin(path: Path, archive: zipfile.ZipFile) -> None:
    """Check that no other zip archive precedes the members; a program that extracts them may."""
    begin = max(0, min((info.header_offset for info in archive.infolist()), default=0))
    with path.open("rb") as stream:
        stream.seek(max(0, begin - ZIP_END_BYTES - MAX_ZIP_COMMENT))
        before = stream.read(begin - stream.tell())
    end = before.rfind(ZIP_END)
    record = before[end : end + ZIP_END_BYTES]
    if end >= 0 and end + ZIP_END_BYTES + int.from_bytes(record[ZIP_COMMENT_SIZE], "little") == len(before):
        raise zipfile.BadZipFile(SEVERAL)


def read_archive(path: Path, wanted: Selector) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the selected ordinary files, in the archive's order.

    Raises:
        UnreadableFile: the archive is truncated, damaged or encrypted.
    """
    with archive_errors(path):
        for name, stream in members(path, wanted):
            yield name, stream.read()
