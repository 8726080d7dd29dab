"""Read and write Megatron-core's indexed data sets, ``<prefix>.bin`` and ``<prefix>.idx``, without torch.

The first file has the concatenated ids of all documents; the second has the documents' lengths and offsets. The
format is version 1 of ``megatron.core.datasets.indexed_dataset``; a test compares the bytes with Megatron-core's own.
"""

import struct
from array import array
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tapeout.data.errors import UnreadableFile

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
CODES: dict[np.dtype[Any], int] = {np.dtype("u1"): 1, np.dtype("<i4"): 4, np.dtype("<u2"): 8}
DTYPES: dict[int, np.dtype[Any]] = {code: dtype for dtype, code in CODES.items()}
HEADER = struct.Struct("<9sQBQQ")
"""Magic, version, code of the type, number of documents, and that number plus one."""
MIN_WIDE_VOCABULARY = 65_500
"""Smaller vocabularies are stored in two bytes per id."""


def id_type(vocabulary: int) -> np.dtype[np.generic]:
    """Return the type of the stored ids of a vocabulary, by Megatron-core's rule."""
    return np.dtype("<u2") if vocabulary < MIN_WIDE_VOCABULARY else np.dtype("<i4")


def read_ids(prefix: Path) -> NDArray[np.generic] | None:
    """Return all ids of a data set as a memory map, or None if there is no data set.

    Raises:
        UnreadableFile: a file is damaged, or the two do not match.
    """
    if not _with_end(prefix, "idx").is_file():
        return None
    lengths, dtype = _read_index(prefix)
    ids = _with_end(prefix, "bin")
    size = ids.stat().st_size if ids.is_file() else -1
    if size != lengths.sum(dtype=np.int64) * dtype.itemsize:
        raise _incomplete(prefix)
    return np.memmap(ids, dtype=dtype, mode="r") if size else np.empty(0, dtype=dtype)


def read_lengths(prefix: Path) -> NDArray[np.int32]:
    """Return the number of ids of each document of a data set.

    Raises:
        UnreadableFile: the index is damaged.
    """
    return _read_index(prefix)[0]


def _read_index(prefix: Path) -> tuple[NDArray[np.int32], np.dtype[Any]]:
    """Return the lengths of the documents, and the type of the ids."""
    index = _with_end(prefix, "idx")
    with index.open("rb") as stream:
        magic, version, code, count, _ = HEADER.unpack(stream.read(HEADER.size).ljust(HEADER.size, b"\0"))
        complete = index.stat().st_size == HEADER.size + 4 * count + 8 * count + 8 * (count + 1)
        if magic != MAGIC or version != VERSION or code not in DTYPES or not complete:
            raise _incomplete(prefix)
        return np.frombuffer(stream.read(4 * count), dtype="<i4"), DTYPES[code]


def _with_end(prefix: Path, end: str) -> Path:
    return prefix.with_name(f"{prefix.name}.{end}")


def _incomplete(prefix: Path) -> UnreadableFile:
    return UnreadableFile(prefix, "it is no complete data set of token ids", "Remove it and build it again.")


class IndexedWriter:
    """Context manager that writes one data set; the index is written at the end, if no error occurred."""

    def __init__(self, prefix: Path, dtype: np.dtype[np.generic]) -> None:
        """Open ``<prefix>.bin`` for ids of the type ``dtype``."""
        self.prefix = prefix
        self.dtype = dtype
        self.lengths = array("i")
        self.stream = _with_end(prefix, "bin").open("wb")

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the data, and write the index unless an error occurred."""
        self.stream.close()
        if error is None:
            self._write_index()

    def write(self, ids: bytes, lengths: Iterable[int]) -> None:
        """Append documents: their stored ids, and the number of ids of each (at least one)."""
        self.stream.write(ids)
        self.lengths.extend(lengths)

    def _write_index(self) -> None:
        lengths = np.frombuffer(self.lengths, dtype="<i4") if self.lengths else np.empty(0, "<i4")
        ends = np.cumsum(lengths, dtype="<i8") * self.dtype.itemsize
        with _with_end(self.prefix, "idx").open("wb") as stream:
            stream.write(HEADER.pack(MAGIC, VERSION, CODES[self.dtype], len(lengths), len(lengths) + 1))
            stream.write(lengths.tobytes())
            stream.write(np.concatenate([[0], ends[:-1]]).astype("<i8")[: len(lengths)].tobytes())
            stream.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
