"""Order and packing of training sequences: functions of a seed alone, independent of the layout.

Nothing here grows with the length of a training: an order is that of one epoch, and the blend of several corpora is
computed for the sample that is asked for.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

OPEN_BINS = 32
"""Number of the newest bins that ``pack`` considers."""
ROUNDING = 1e-9
"""Added before rounding down, so that a product that should be a whole number is one."""


def permutation(seed: int, epoch: int, count: int) -> Ids:
    """Return the order of ``count`` items in one epoch: a function of its arguments, however often it is called."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class EndlessOrder:
    """Endless sequence of items, drawn without replacement epoch after epoch; only one epoch is in memory."""

    def __init__(self, seed: int, count: int) -> None:
        """Define the order of ``count`` items."""
        self.seed, self.count = seed, count
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def __getitem__(self, index: int) -> int:
        """Return the item at an index, which may be any natural number."""
        epoch, position = divmod(index, self.count)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, permutation(self.seed, epoch, self.count)
        return int(self.order[position])


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


def blend(fractions: Sequence[float], count: int) -> list[int]:
    """Return how many of the first ``count`` samples come from each component.

    The samples of a component are evenly spread: the last component takes its fraction of all samples, the one before
    it takes its fraction of the rest, and so on. So every prefix of a training has the fractions of the blend, within
    one sample per component, and the component of any sample is known without those before it.

    Args:
        fractions: fractions of the components, whose sum is 1.
        count: number of samples.
    """
    counts = [0] * len(fractions)
    left, rest = count, 1.0
    for number in range(len(fractions) - 1, 0, -1):
        fraction = min(1.0, fractions[number] / rest) if rest > 0 else 1.0
        counts[number] = min(left, math.floor(left * fraction + ROUNDING))
        left -= counts[number]
        rest -= fractions[number]
    counts[0] = left
    return counts


@dataclass(frozen=True)
class Bins:
    """Rows in bins.

    Attributes:
        rows: row indices of all bins, bin after bin.
        starts: index in ``rows`` of the first row of each bin, and the end of the last, [bins + 1].
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of bins."""
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> list[int]:
        """Return the rows of a bin, in the order in which they were put into it."""
        members: list[int] = self.rows[self.starts[index] : self.starts[index + 1]].tolist()
        return members


def pack(lengths: NDArray[np.integer], order: Ids, capacity: int) -> Bins:
    """Put rows into bins of ``capacity`` tokens: each row, in ``order``, into the fullest recent bin that it fits.

    No row is cut. Only the ``OPEN_BINS`` newest bins are considered, so neighbours in the order stay near each other.

    Args:
        lengths: tokens of each row, at least 1 and at most ``capacity``.
        order: indices of the rows.
        capacity: tokens of a bin.

    Returns:
        the bins, in the order in which they were opened.
    """
    bins = np.empty(len(order), dtype=np.int64)
    room = [0] * OPEN_BINS  # of the newest bins; bin b has the entry b % OPEN_BINS
    fullest: list[tuple[int, int]] = []  # the same with the bin, ascending
    opened = 0
    for position, need in enumerate(lengths[order].tolist()):
        found = bisect_left(fullest, (need, -1))
        if found < len(fullest):
            _, index = fullest.pop(found)
        else:
            index, opened = opened, opened + 1
            if index >= OPEN_BINS:
                fullest.pop(bisect_left(fullest, (room[index % OPEN_BINS], index - OPEN_BINS)))
            room[index % OPEN_BINS] = capacity
        room[index % OPEN_BINS] -= need
        insort(fullest, (room[index % OPEN_BINS], index))
        bins[position] = index
    starts = np.concatenate([[0], np.cumsum(np.bincount(bins, minlength=opened))]).astype(np.int64)
    return Bins(order[np.argsort(bins, kind="stable")], starts)
