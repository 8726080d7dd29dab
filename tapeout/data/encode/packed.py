"""Packed sequences for fine-tuning, as arrays on disk: rows side by side, none of which sees another.

In a sequence each row has positions from 0 and a number of its own; padding has the number -1 and trains nothing.
``starts`` holds the borders in the form that flash attention and Transformer Engine want (``cu_seqlens``).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from tapeout.data.encode.first_fit import first_fit_decreasing

Row = tuple[Sequence[int], Sequence[int]] | tuple[NDArray[np.int32], NDArray[np.uint8]]
"""Ids of a row, and 1 for those that it is to learn."""
ARRAYS = {"tokens": np.int32, "labels": np.int32, "mask": np.uint8, "positions": np.int32, "segments": np.int32}
AT_ONCE = 4096
"""Sequences that are laid out in memory at once."""


class Rows(Protocol):
    """Rows by number; a list of them is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Row: ...

    def __iter__(self) -> Iterator[Row]: ...


def write_packed(rows: Rows, output: Path, length: int, padding: int = 0) -> dict[str, int]:
    """Write one array a file into the existing folder ``output``; return the counts.

    A row of n ids takes n - 1 places: its last id is only a label.

    Args:
        rows: with 2 to ``length`` + 1 ids each.
        output: gets tokens.npy, labels.npy, mask.npy, positions.npy, segments.npy, [sequences, length] each; rows.npy
            and starts.npy, which rows each sequence holds and where they begin, one after the other; sequences.npy,
            where each sequence begins in these two.
        length: places of a sequence.
        padding: id of the places that are left.
    """
    bins = first_fit_decreasing([len(ids) - 1 for ids, _ in rows], length)
    shape = (len(bins), length)
    files: dict[str, Any] = {
        name: open_memmap(output / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
        if bins
        else np.empty(shape, dtype=kind)
        for name, kind in ARRAYS.items()
    }
    starts: list[int] = []
    for first in range(0, len(bins), AT_ONCE):
        part = bins[first : first + AT_ONCE]
        laid = lay_out(([rows[place] for place in members] for members in part), len(part), length, padding)
        for name, array in laid.items():
            files[name][first : first + len(part)] = array
    for members in bins:
        starts += np.cumsum([0, *(len(rows[place][0]) - 1 for place in members)])[:-1].tolist()
    for name, array in files.items():
        if bins:
            array.flush()
        else:
            np.save(output / f"{name}.npy", array)
    order = np.concatenate([np.empty(0, np.int64), *bins])
    np.save(output / "rows.npy", order.astype(np.int64))
    np.save(output / "starts.npy", np.array(starts, dtype=np.int32))
    np.save(output / "sequences.npy", np.cumsum([0, *map(len, bins)]).astype(np.int64))
    places = sum(len(ids) - 1 for ids, _ in rows)
    trained = sum(int(np.sum(mask[1:])) for _, mask in rows)
    return {"rows": len(rows), "sequences": len(bins), "places": places, "room": len(bins) * length, "trained": trained}


def lay_out(bins: Iterable[Sequence[Row]], count: int, length: int, padding: int) -> dict[str, NDArray[Any]]:
    """The arrays of ``count`` sequences."""
    laid = {name: np.zeros((count, length), dtype=kind) for name, kind in ARRAYS.items()}
    laid["tokens"][:] = laid["labels"][:] = padding
    laid["segments"][:] = -1
    for place, members in enumerate(bins):
        start = 0
        for segment, (ids, mask) in enumerate(members):
            end = start + len(ids) - 1
            laid["tokens"][place, start:end] = ids[:-1]
            laid["labels"][place, start:end] = ids[1:]
            laid["mask"][place, start:end] = mask[1:]
            laid["positions"][place, start:end] = np.arange(end - start)
            laid["segments"][place, start:end] = segment
            start = end
    return laid
