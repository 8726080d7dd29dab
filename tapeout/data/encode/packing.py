"""Which tokens a model sees, and in which order: fixed by a seed alone, whatever the layout of the training (F46)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

OPEN_BINS = 32


def permutation(seed: int, epoch: int, count: int) -> Ids:
    """The order of ``count`` things in one epoch: a function of its arguments, not of who asks or how often."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def endless_order(seed: int, count: int, wanted: int) -> Ids:
    """The first ``wanted`` of the endless row of things drawn without replacement, epoch after epoch."""
    epochs = -(-wanted // count)
    return np.concatenate([permutation(seed, epoch, count) for epoch in range(epochs)])[:wanted]


def windows(documents: Sequence[Sequence[int]], length: int) -> Ids:
    """Documents one after the other, cut into windows of ``length + 1`` ids that overlap by one, [windows, length + 1].

    Every token but the first is the target of exactly one window. The incomplete end is left out.
    """
    stream = np.fromiter((token for document in documents for token in document), dtype=np.int64)
    count = max(0, (len(stream) - 1) // length)
    places = np.arange(count)[:, None] * length + np.arange(length + 1)[None, :]
    return stream[places]


def blend(count: int, fraction: float) -> NDArray[np.bool_]:
    """Which of ``count`` samples come from the second corpus: evenly spread, and exactly ``fraction`` of them."""
    done = np.floor(np.arange(count + 1) * fraction + 1e-9)
    return np.diff(done) > 0


def pack(lengths: Sequence[int], order: Ids, capacity: int) -> list[list[int]]:
    """Put rows into bins of ``capacity`` tokens: each row, in ``order``, into the fullest of the last bins it fits.

    No row is cut. Only the ``OPEN_BINS`` youngest bins are looked at, so neighbours in the order stay near each other.

    Args:
        lengths: tokens of each row, none above ``capacity``.
        order: indices of the rows to place.

    Returns:
        bins of row indices, in the order in which the bins were opened.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for row in order.tolist():
        need = lengths[row]
        first = max(0, len(bins) - OPEN_BINS)
        fits = [(room[place], place) for place in range(first, len(bins)) if room[place] >= need]
        if fits:
            _, place = min(fits)
        else:
            place = len(bins)
            bins.append([])
            room.append(capacity)
        bins[place].append(row)
        room[place] -= need
    return bins
