"""Result of the comparison of two files, and helpers that the comparisons share."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from tapeout.errors import TapeoutError


class Level(StrEnum):
    """Level of agreement of two files or artifacts, the strictest first. A level implies all that follow it."""

    BYTES = "bytes"
    VALUES = "values"
    METRICS = "metrics"
    NONE = "none"


class Unreadable(TapeoutError):
    """A file cannot be read, or does not have the format of its suffix and is compared byte by byte."""


@dataclass(frozen=True)
class Detail:
    """Differences inside a file, a subclass per kind. Counts are complete, lists may be cut to a limit."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True)
class FileComparison:
    """Result of a comparison.

    Attributes:
        level: strictest level at which the two files are equal.
        reason: why they do not reach a stricter level, in a few words.
        detail: the differences.
    """

    level: Level
    reason: str
    detail: Detail | None = None


def worst(levels: Iterable[Level]) -> Level:
    """Return the level that all reach; ``BYTES`` if there is none."""
    return max(levels, key=list(Level).index, default=Level.BYTES)


def counted(*counts: tuple[int, str]) -> str:
    """Return ``3 rows added, 1 row changed`` for ``(3, "row~ added"), (1, "row~ changed")``; ``~`` is a plural s."""
    return ", ".join(f"{count:,} {words.replace('~', '' if count == 1 else 's')}" for count, words in counts if count)


def unmoved(positions: Sequence[int]) -> set[int]:
    """Return the indices of a longest increasing subsequence of distinct positions.

    These items kept their order and the others moved. Patience sorting, in time n log n.
    """
    ends: list[int] = []  # smallest last position of the increasing subsequences of every length
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
