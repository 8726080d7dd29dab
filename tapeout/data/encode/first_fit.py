"""Rows packed into sequences of one length by first fit decreasing: longest first, each into the first that has room.

Never more than 11/9 of the fewest possible sequences, and 1; for rows of text mostly the fewest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def first_fit_decreasing(lengths: Sequence[int] | Numbers, capacity: int) -> list[Numbers]:
    """Indices of the rows of each bin, bins in the order in which they were opened; equal lengths in the order given.

    All rows of one length are placed at once, from the first bin on, as many into each as fit: that is what placing
    them one by one comes to, because a bin that one of them did not fit into fits none of the others.

    Args:
        lengths: of the rows, from 1 to ``capacity``.
        capacity: of a bin.

    Raises:
        ValueError: a row has another length.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if len(sizes) and not 1 <= sizes.min() <= sizes.max() <= capacity:
        raise ValueError(f"rows of {sizes.min()} to {sizes.max()} tokens, but a bin takes 1 to {capacity}")
    order = np.argsort(-sizes, kind="stable")
    room = np.empty(0, dtype=np.int64)
    bins_of = np.empty(len(sizes), dtype=np.int64)
    start = 0
    for size, count in zip(*_runs(sizes[order]), strict=True):
        fits = room // size
        missing = count - int(fits.sum())
        if missing > 0:
            each = capacity // size
            room = np.concatenate([room, np.full(-(-missing // each), capacity, dtype=np.int64)])
            fits = room // size
        taken = np.minimum(fits, np.maximum(0, count - (np.cumsum(fits) - fits)))
        room -= taken * size
        bins_of[order[start : start + count]] = np.repeat(np.arange(len(room)), taken)
        start += count
    by_bin = order[np.argsort(bins_of[order], kind="stable")]
    return np.split(by_bin, np.cumsum(np.bincount(bins_of, minlength=len(room)))[:-1]) if len(room) else []


def _runs(sizes: Numbers) -> tuple[list[int], list[int]]:
    starts = np.concatenate([[0], np.flatnonzero(np.diff(sizes)) + 1]) if len(sizes) else np.empty(0, np.int64)
    return sizes[starts].tolist(), np.diff(np.append(starts, len(sizes))).tolist()
