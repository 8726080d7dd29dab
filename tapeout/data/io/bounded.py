"""Decompression with a limit: a few kilobytes can become terabytes."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

MIN_UNPACKED, MAX_RATIO = 1 << 30, 1000
"""A compressed file may unpack to 1 GiB, or to 1000 times its size: no text is so regular."""
OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": partial(lzma.LZMAFile, format=lzma.FORMAT_XZ),
}
"""Functions that open a compressed file, by its first bytes."""


class UnpacksTooLarge(OSError):
    """A compressed file unpacks to more than its size allows."""


def limit(packed: int) -> int:
    """Return the bytes to which a file of ``packed`` bytes may unpack."""
    return max(MIN_UNPACKED, MAX_RATIO * packed)


def check_total(unpacked: int, packed: int) -> None:
    """Raise ``UnpacksTooLarge`` if so many bytes are too much for a file of ``packed`` bytes."""
    if unpacked > limit(packed):
        raise UnpacksTooLarge(f"it unpacks to more than {limit(packed):,} bytes")


def open_bounded(path: Path) -> IO[bytes]:
    """Open a file, decompressed if its content is compressed with gzip, bzip2 or xz."""
    with path.open("rb") as file:
        first = file.read(6)
    opener = next((opener for magic, opener in OPENERS.items() if first.startswith(magic)), None)
    size = path.stat().st_size
    return path.open("rb") if opener is None else bounded(opener(path), lambda: size, seekable=True)


def open_gzip(path: Path) -> IO[bytes]:
    """Open a file that must be compressed with gzip, decompressed."""
    size = path.stat().st_size
    return bounded(cast(IO[bytes], gzip.open(path)), lambda: size, seekable=True)


def bounded(stream: IO[bytes], packed: Callable[[], int], seekable: bool = False) -> IO[bytes]:
    """Return a stream that raises ``UnpacksTooLarge``.

    Args:
        stream: decompresses a file.
        packed: returns the bytes of the compressed file, or those that were read of it.
        seekable: allow to seek, for which the content is decompressed again.
    """
    return io.BufferedReader(_Bounded(stream, packed, seekable), 1 << 20)


class _Bounded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], packed: Callable[[], int], seekable: bool) -> None:
        self.stream, self.packed, self.can_seek, self.position = stream, packed, seekable, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.can_seek

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read(len(buffer))
        self.position += len(data)
        check_total(self.position, self.packed())
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset, whence = self.position + offset, os.SEEK_SET
        if whence == os.SEEK_SET:
            check_total(offset, self.packed())  # a jump forward unpacks everything before it
        self.position = self.stream.seek(offset, whence)
        check_total(self.position, self.packed())
        return self.position

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
        super().close()
