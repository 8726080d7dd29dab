"""Megatron-core's data sets of token ids, ``<prefix>.bin`` and ``<prefix>.idx``, written in a stream without torch.

The ids of all documents follow one another in the first file; the second says where each begins. The format, version 1,
is that of ``megatron.core.datasets.indexed_dataset``; a test has Megatron-core write the same bytes.
"""

import struct
from array import array
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tapeout.errors import TapeoutError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
CODES: dict[np.dtype[Any], int] = {np.dtype("<i4"): 4, np.dtype("<u2"): 8}
KINDS: dict[int, np.dtype[Any]] = {code: kind for kind, code in CODES.items()}
HEAD = struct.Struct("<9sQBQQ")
"""Magic, version, code of the type, documents, and one more than these."""
SMALL = 65_500
"""Vocabularies below this are stored in two bytes an id."""


def id_type(vocabulary: int) -> np.dtype[np.generic]:
    """Type of the stored ids of a vocabulary, as Megatron-core chooses it."""
    return np.dtype("<u2") if vocabulary < SMALL else np.dtype("<i4")


class DamagedTokens(TapeoutError):
    """A file is no data set of token ids, or not a whole one."""


def read_ids(prefix: Path) -> NDArray[np.generic] | None:
    """All ids of a data set, mapped from its file; None where there is none.

    Raises:
        DamagedTokens: the two files do not fit each other.
    """
    index, ids = (prefix.with_name(f"{prefix.name}.{end}") for end in ("idx", "bin"))
    if not index.is_file():
        return None
    with index.open("rb") as stream:
        magic, version, code, count, _ = HEAD.unpack(stream.read(HEAD.size).ljust(HEAD.size, b"\0"))
        whole = index.stat().st_size == HEAD.size + 4 * count + 8 * count + 8 * (count + 1)
        known = magic == MAGIC and version == VERSION and code in KINDS and whole
        lengths = np.frombuffer(stream.read(4 * count if known else 0), dtype="<i4")
    size = ids.stat().st_size if ids.is_file() else -1
    if not known or size != lengths.sum(dtype=np.int64) * KINDS[code].itemsize:
        raise DamagedTokens(f"{prefix} is no data set of token ids.", "Remove it and build it again.")
    return np.memmap(ids, dtype=KINDS[code], mode="r") if size else np.empty(0, dtype=KINDS[code])


class IndexedWriter:
    """Writes one data set; the second file comes when all is written."""

    def __init__(self, prefix: Path, kind: np.dtype[np.generic]) -> None:
        self.prefix = prefix
        self.kind = kind
        self.lengths = array("i")
        self.stream = prefix.with_name(f"{prefix.name}.bin").open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        if error is None:
            self._write_index()

    def write(self, ids: bytes, lengths: Iterable[int]) -> None:
        """Add documents: their ids as they are stored, and how many each has (at least one)."""
        self.stream.write(ids)
        self.lengths.extend(lengths)

    def _write_index(self) -> None:
        lengths = np.frombuffer(self.lengths, dtype="<i4") if self.lengths else np.empty(0, "<i4")
        ends = np.cumsum(lengths, dtype="<i8") * self.kind.itemsize
        with self.prefix.with_name(f"{self.prefix.name}.idx").open("wb") as stream:
            stream.write(HEAD.pack(MAGIC, VERSION, CODES[self.kind], len(lengths), len(lengths) + 1))
            stream.write(lengths.tobytes())
            stream.write(np.concatenate([[0], ends[:-1]]).astype("<i8")[: len(lengths)].tobytes())
            stream.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
