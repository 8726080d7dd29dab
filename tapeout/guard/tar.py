"""Tar archives: every header is checked before a byte is written.

``tarfile`` follows everything that the format has grown in forty years: links, devices, sparse files, global headers,
and extended headers that replace a name or a size. This reader knows regular files and folders, and the two ways of
writing a long name or a large size, each only where it is needed. So no two programs can read the same archive in
different ways.
"""

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.names import MAX_PATH, Member, check_members, check_space, plain_name

BLOCK = 512
COPIED = 1 << 20
MAX_PADDING = 1 << 20
"""Bytes of zeros after the end: programs write blocks of 10 kB, and up to 1 MiB."""
MAX_EXTENDED = 64 << 10
"""Bytes of an extended header: a name and four times."""
MIN_UNPACKED, MAX_RATIO = 1 << 30, 100
"""A compressed archive may unpack to 1 GiB, or to 100 times its size."""
LARGE = 1 << 33
"""Size in bytes from which an ordinary header has no room for it."""
KINDS = {b"1": "a hard link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}
HARMLESS = {"mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment", "LIBARCHIVE.creationtime"}
"""Keys of extended headers that this reader ignores, like owners and times."""
COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)


def unpack(archive: Path, folder: Path, what: str = "", beginning: str = "", max_bytes: int | None = None) -> int:
    """Unpack an archive into ``folder``, which is new or empty, and return the bytes of its members.

    Nothing is written unless every member is safe and there is space for all.

    Args:
        archive: tar, plain or compressed with gzip, bzip2 or xz.
        folder: where to write; files get the mode 0644, or 0755 if their owner may execute them.
        what: the archive in messages; its file name if empty.
        beginning: unpack only members whose name begins with this.
        max_bytes: refuse an archive with more.

    Raises:
        UnusableModel: it is damaged, truncated or empty, or has a member that is not a plain file or folder.
    """
    what = what or archive.name
    members = tar_members(archive, what)
    if not any(not member.folder for member in members):
        raise UnusableModel(f"{what} is empty.", "Build or fetch it again.")
    if folder.exists() and any(folder.iterdir()):
        raise UnusableModel(f"{folder} is not empty.", "Unpack into a new folder.")
    total = check_space((one for one in members if one.name.startswith(beginning)), folder, what, max_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    with _Stream(archive, what) as stream:
        for member in members:
            if not member.name.startswith(beginning):
                continue
            target = folder / member.name
            if member.folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            stream.skip(member.offset - stream.position)
            with open(target, "xb") as file:
                for block in stream.blocks(member.size):
                    file.write(block)
            target.chmod(0o755 if member.executable else 0o644)
    return total


def tar_members(archive: Path, what: str = "") -> list[Member]:
    """Return the members of a tar archive in their order, without the folder ``.`` itself.

    Raises:
        UnusableModel: see ``unpack``.
    """
    what = what or archive.name
    with _Stream(archive, what) as stream:
        members = check_members(_members(stream, what), what)
        padding = 0
        for block in stream.rest():
            padding += len(block)
            if block.strip(b"\0") or padding > MAX_PADDING:
                raise refuse(what, "continues after its end")
    return members


class _Stream:
    """An archive that is read once, from its beginning; what would be too much is never read."""

    def __init__(self, archive: Path, what: str) -> None:
        self.what, self.position = what, 0
        with open(archive, "rb") as file:
            first = file.read(8)
        packed = archive.stat().st_size
        opener = next((opener for magic, opener in COMPRESSED.items() if first.startswith(magic)), None)
        self.plain = opener is None
        self.limit = packed if opener is None else max(MIN_UNPACKED, MAX_RATIO * packed)
        self.file: IO[bytes] = (opener or open)(archive, "rb")

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        data = self._read(size)
        if len(data) < size:
            raise UnusableModel(f"{self.what} is truncated.", "Build or fetch it again.")
        return data

    def _read(self, size: int) -> bytes:
        try:
            data = self.file.read(size)
        except DAMAGE as error:
            raise UnusableModel(f"{self.what} is damaged: {error}.", "Build or fetch it again.") from error
        self.position += len(data)
        if self.position > self.limit:
            raise refuse(self.what, f"unpacks to more than {MAX_RATIO} times its size")
        return data

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield exactly ``size`` bytes in blocks."""
        while size:
            block = self.read(min(size, COPIED))
            size -= len(block)
            yield block

    def skip(self, size: int) -> None:
        """Go forward."""
        if self.position + size > self.limit:
            if self.plain:
                raise UnusableModel(f"{self.what} is truncated.", "Build or fetch it again.")
            raise refuse(self.what, f"unpacks to more than {MAX_RATIO} times its size")
        if self.plain:
            self.file.seek(size, os.SEEK_CUR)
            self.position += size
        else:
            for _ in self.blocks(size):
                pass

    def rest(self) -> Iterator[bytes]:
        """Yield everything until the end of the file."""
        while block := self._read(COPIED):
            yield block


def _members(stream: _Stream, what: str) -> Iterator[Member]:
    """Yield the members before the two blocks of zeros that end an archive."""
    long_name: str | None = None
    extended: dict[str, str] = {}
    pending: set[bytes] = set()  # kinds of the extended headers of the next member
    while (header := stream.read(BLOCK)) != bytes(BLOCK):
        _check_sum(header, what)
        kind, size = header[156:157], _number(header[124:136], what)
        if kind in (b"x", b"L"):
            if kind in pending or size > MAX_EXTENDED:
                raise refuse(what, "has extended headers that no program writes")
            pending.add(kind)
            data = stream.read(size)
            stream.skip(-size % BLOCK)
            if kind == b"L":
                long_name = _text(data.removesuffix(b"\0"), what)
            else:
                extended = _extended(data, what)
            continue
        if kind not in (b"0", b"\0", b"5"):
            name = KINDS.get(kind, f"a member of type {kind!r}")
            raise refuse(what, f"contains {name}, {_name(header, what)!r}, which is not a plain file")
        name, size = _overridden(_name(header, what), size, long_name, extended, what)
        long_name, extended, pending = None, {}, set()
        folder = kind == b"5" or name.endswith("/")
        if (folder and size) or header[157:257].strip(b"\0"):
            raise refuse(what, f"contains {name!r}, a folder with content or a file with a link")
        offset = stream.position
        stream.skip(size + -size % BLOCK)
        if plain := plain_name(name, what, folder):
            yield Member(plain, size, folder, bool(_number(header[100:108], what) & 0o100), offset)
    if pending or stream.read(BLOCK) != bytes(BLOCK):
        raise UnusableModel(f"{what} is damaged: it does not end with two blocks of zeros.", "Build or fetch it again.")


def _overridden(name: str, size: int, long_name: str | None, extended: dict[str, str], what: str) -> tuple[str, int]:
    """Return name and size with extended headers, each of which must be needed."""
    path = extended.get("path", long_name)
    if path is not None:
        if (path.isascii() and len(path) < 100) or len(path.encode()) > MAX_PATH + 2:
            raise refuse(what, f"contains {path[:100]!r} under another name, {name!r}")
        name = path
    if "size" in extended:
        text = extended["size"]
        if not (
            text.isascii() and text.isdecimal() and len(text) < 20 and int(text) >= LARGE and size in (0, int(text))
        ):
            raise refuse(what, f"contains {name!r} with two sizes, {size} and {text}")
        size = int(text)
    return name, size


def _check_sum(header: bytes, what: str) -> None:
    expected = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    if header[257:262] not in (b"ustar", bytes(5)) or _number(header[148:156], what) != expected:
        raise UnusableModel(f"{what} is not a tar archive, or is damaged.", "Build or fetch it again.")


def _number(field: bytes, what: str) -> int:
    """Return a number of a header: octal digits, or, if it is too large for them, binary."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
        if number < LARGE:
            raise refuse(what, "has a number in a header in a form that no program writes")
        return number
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise refuse(what, "has a number in a header that is none")
    return int(digits or b"0", 8)


def _name(header: bytes, what: str) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:265] == b"ustar\x0000" else b""
    return _text(prefix + b"/" + name if prefix else name, what)


def _text(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise refuse(what, "contains a name that is not printable UTF-8") from None
    if not text or not text.isprintable():
        raise refuse(what, "contains a name that is not printable UTF-8")
    return text


def _extended(data: bytes, what: str) -> dict[str, str]:
    """Return the records ``LENGTH KEY=VALUE`` of an extended header that matter."""
    records: dict[str, str] = {}
    while data:
        length, _, _ = data[:20].partition(b" ")
        if not length.isdigit() or not len(length) + 3 <= int(length) <= len(data) or data[int(length) - 1] != 10:
            raise refuse(what, "has a damaged extended header")
        key, equals, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        data = data[int(length) :]
        name = _text(key, what)
        if not equals or name in records or (name not in ("path", "size") and name not in HARMLESS):
            raise refuse(what, f"has an extended header with {name!r}")
        records[name] = "" if name in HARMLESS else _text(value, what)
    return {name: records[name] for name in ("path", "size") if name in records}
