"""What kept its order and what was moved."""

from bisect import bisect_left
from collections.abc import Sequence


def in_order(positions: Sequence[int]) -> set[int]:
    """Indices of a longest part of ``positions`` (all different) that rises: what kept its order; the others moved.

    Patience sorting: time n log n.
    """
    ends: list[int] = []  # of the rising parts of each length, the smallest last position
    holders: list[int] = []  # and its index
    before: list[int] = []
    for index, position in enumerate(positions):
        length = bisect_left(ends, position)
        before.append(holders[length - 1] if length else -1)
        if length == len(ends):
            ends.append(position)
            holders.append(index)
        else:
            ends[length], holders[length] = position, index
    kept: set[int] = set()
    index = holders[-1] if holders else -1
    while index >= 0:
        kept.add(index)
        index = before[index]
    return kept
