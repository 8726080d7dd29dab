"""Order and packing of training sequences: functions of a seed alone, independent of the layout."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

OPEN_BINS = 32
"""Number of the newest bins that ``pack`` considers."""


def permutation(seed: int, epoch: int, count: int) -> Ids:
    """Return the order of ``count`` items in one epoch: a function of its arguments, however often it is called."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def endless_order(seed: int, count: int, wanted: int) -> Ids:
    """Return the first ``wanted`` of an endless sequence of items, drawn without replacement epoch after epoch."""
    epochs = -(-wanted // count)
    return np.concatenate([permutation(seed, epoch, count) for epoch in range(epochs)])[:wanted]


def windows(documents: Sequence[Sequence[int]], length: int) -> Ids:
    """Concatenate documents, and cut them into windows of ``length + 1`` ids that overlap by one.

    Every token but the first is the target of exactly one window. An incomplete window at the end is dropped.

    Returns:
        ids, [windows, length + 1].
    """
    stream = np.fromiter((token for document in documents for token in document), dtype=np.int64)
    count = max(0, (len(stream) - 1) // length)
    indices = np.arange(count)[:, None] * length + np.arange(length + 1)[None, :]
    ids: Ids = stream[indices]
    return ids


def blend(count: int, fraction: float) -> NDArray[np.bool_]:
    """Return which of ``count`` samples come from the second corpus: evenly spread, exactly ``fraction`` of them."""
    done = np.floor(np.arange(count + 1) * fraction + 1e-9)
    chosen: NDArray[np.bool_] = np.diff(done) > 0
    return chosen


def pack(lengths: Sequence[int], order: Ids, capacity: int) -> list[list[int]]:
    """Put rows into bins of ``capacity`` tokens: each row, in ``order``, into the fullest recent bin that it fits.

    No row is cut. Only the ``OPEN_BINS`` newest bins are considered, so neighbours in the order stay near each other.

    Args:
        lengths: tokens of each row, at most ``capacity``.
        order: indices of the rows.
        capacity: tokens of a bin.

    Returns:
        row indices of each bin, in the order in which the bins were opened.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for row in order.tolist():
        need = lengths[row]
        first = max(0, len(bins) - OPEN_BINS)
        fitting = [(room[index], index) for index in range(first, len(bins)) if room[index] >= need]
        if fitting:
            _, index = min(fitting)
        else:
            index = len(bins)
            bins.append([])
            room.append(capacity)
        bins[index].append(row)
        room[index] -= need
    return bins
