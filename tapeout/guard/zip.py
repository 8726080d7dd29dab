"""Zip archives, among them the files of ``torch.save``: members that lie side by side, each described once.

Programs disagree about a zip whose directory and members differ, in which members overlap or are repeated, or which
begins inside another file. None of these is read.
"""

import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.names import Member, check_members, check_space, plain_name
from tapeout.guard.tar import MAX_RATIO, MIN_UNPACKED

MAGIC = b"PK\3\4"
LOCAL = struct.Struct("<4s5H3I2H")
"""Header before the content of a member."""
ENCRYPTED = 0x41
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error)


def open_zip(file: Path | IO[bytes], what: str, stored: bool = False) -> tuple[zipfile.ZipFile, list[Member]]:
    """Open a zip and check it; the content of a member is read with ``read_member``.

    Args:
        file: path, or file that can seek; the zip is the whole file.
        what: the file in messages.
        stored: refuse compressed members, which ``torch.save`` never writes.

    Raises:
        UnusableModel: it is damaged, or two programs could read it in different ways, or it is too large.
    """
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGE as error:
        raise UnusableModel(
            f"{what} is not a zip archive, or is damaged: {error}.", "Build or fetch it again."
        ) from error
    try:
        return archive, _checked(archive, what, stored)
    except DAMAGE as error:
        archive.close()
        raise UnusableModel(f"{what} is damaged: {error}.", "Build or fetch it again.") from error
    except UnusableModel:
        archive.close()
        raise


def _checked(archive: zipfile.ZipFile, what: str, stored: bool) -> list[Member]:
    entries = archive.infolist()
    methods = {zipfile.ZIP_STORED} if stored else {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    members = []
    for entry in entries:
        folder = entry.filename.endswith("/")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & ENCRYPTED or entry.compress_type not in methods:
            raise refuse(what, f"contains {entry.filename!r}, which is encrypted or compressed in an unexpected way")
        if kind not in (0, stat.S_IFDIR if folder else stat.S_IFREG) or (folder and entry.file_size):
            raise refuse(what, f"contains {entry.filename!r}, which is not a plain file")
        executable = bool(entry.external_attr >> 16 & 0o100)
        name = plain_name(entry.orig_filename, what, folder)
        members.append(Member(name, entry.file_size, folder, executable, _content(archive, entry, what)))
    check_members(members, what)
    assert archive.fp is not None
    length = archive.fp.seek(0, 2)
    if sum(member.size for member in members) > max(MIN_UNPACKED, MAX_RATIO * length):
        raise refuse(what, f"unpacks to more than {MAX_RATIO} times its size")
    end = 0
    for entry, member in sorted(zip(entries, members, strict=True), key=lambda pair: pair[0].header_offset):
        if entry.header_offset < end or (end == 0 and entry.header_offset):
            raise refuse(what, f"has members that overlap, or something before the first: {entry.filename!r}")
        end = member.offset + entry.compress_size
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise refuse(what, f"announces two sizes of {entry.filename!r}")
    if end > archive.start_dir:
        raise refuse(what, "has members that overlap its directory")
    return members


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, what: str) -> int:
    """Return the position of a member's content, after comparing its own header with the directory."""
    assert archive.fp is not None
    archive.fp.seek(entry.header_offset)
    magic, _, flags, method, _, _, _, _, _, name_bytes, extra_bytes = LOCAL.unpack(archive.fp.read(LOCAL.size))
    name = archive.fp.read(name_bytes).decode("utf-8" if flags & 0x800 else "cp437")
    if magic != MAGIC or name != entry.orig_filename or method != entry.compress_type:
        raise refuse(what, f"describes {entry.orig_filename!r} in two ways")
    return entry.header_offset + LOCAL.size + int(name_bytes) + int(extra_bytes)


def read_member(archive: zipfile.ZipFile, name: str, what: str, max_bytes: int) -> bytes:
    """Return the content of a member of at most ``max_bytes`` bytes.

    Raises:
        UnusableModel: it is missing, damaged or larger.
    """
    try:
        if archive.getinfo(name).file_size > max_bytes:
            raise refuse(what, f"has a member {name!r} of more than {max_bytes:,} bytes")
        return archive.read(name)
    except KeyError:
        raise UnusableModel(f"{what} has no {name!r}.", "Build or fetch it again.") from None
    except DAMAGE as error:
        raise UnusableModel(f"{what} is damaged: {error}.", "Build or fetch it again.") from error


def unzip(path: Path, folder: Path, what: str = "", max_bytes: int | None = None) -> int:
    """Unpack a zip into ``folder``, which is new or empty, and return the bytes of its members.

    Nothing is written unless every member is safe and there is space for all. ``max_bytes`` bounds the bytes.

    Raises:
        UnusableModel: see ``open_zip``.
    """
    what = what or path.name
    archive, members = open_zip(path, what)
    with archive:
        total = check_space(members, folder, what, max_bytes)
        folder.mkdir(parents=True, exist_ok=True)
        for entry, member in zip(archive.infolist(), members, strict=True):
            target = folder / member.name
            if member.folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(entry) as content, open(target, "xb") as file:
                    shutil.copyfileobj(content, file)
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
                raise UnusableModel(f"{what} is damaged: {error}.", "Build or fetch it again.") from error
    return total
