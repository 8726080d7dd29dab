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
CODES: dict[np.dtype[Any], int] = {np.dtype("<i4"): 4, np.dtype("<u2"): 8}
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
    index, ids = (prefix.with_name(f"{prefix.name}.{end}") for end in ("idx", "bin"))
    if not index.is_file():
        return None
    with index.open("rb") as stream:
        magic, version, code, count, _ = HEADER.unpack(stream.read(HEADER.size).ljust(HEADER.size, b"\0"))
        complete = index.stat().st_size == HEADER.size + 4 * count + 8 * count + 8 * (count + 1)
        valid = magic == MAGIC and version == VERSION and code in DTYPES and complete
        lengths = np.frombuffer(stream.read(4 * count if valid else 0), dtype="<i4")
    size = ids.stat().st_size if ids.is_file() else -1
    if not valid or size != lengths.sum(dtype=np.int64) * DTYPES[code].itemsize:
        raise UnreadableFile(prefix, "it is no complete data set of token ids", "Remove it and build it again.")
    return np.memmap(ids, dtype=DTYPES[code], mode="r") if size else np.empty(0, dtype=DTYPES[code])


class IndexedWriter:
    """Context manager that writes one data set; the index is written at the end, if no error occurred."""

    def __init__(self, prefix: Path, dtype: np.dtype[np.generic]) -> None:
        """Open ``<prefix>.bin`` for ids of the type ``dtype``."""
        self.prefix = prefix
        self.dtype = dtype
        self.lengths = array("i")
        self.stream = prefix.with_name(f"{prefix.name}.bin").open("wb")

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
        with self.prefix.with_name(f"{self.prefix.name}.idx").open("wb") as stream:
            stream.write(HEADER.pack(MAGIC, VERSION, CODES[self.dtype], len(lengths), len(lengths) + 1))
            stream.write(lengths.tobytes())
            stream.write(np.concatenate([[0], ends[:-1]]).astype("<i8")[: len(lengths)].tobytes())
            stream.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
