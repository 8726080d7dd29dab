"""What every comparison of two files finds: how much is the same, in a few words, and what differs in detail."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from tapeout.errors import TapeoutError


class Level(StrEnum):
    """How much of two things is the same, the strictest first; each level includes those behind it."""

    BYTES = "bytes"
    VALUES = "values"
    METRICS = "metrics"
    NONE = "none"


class Unreadable(TapeoutError):
    """A file is not what its name says; it is then compared byte by byte."""


@dataclass(frozen=True)
class Detail:
    """What differs inside a file; each kind of file has its own. Counts are of all, lists may be cut to a limit."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True)
class Found:
    """The level that two files reach, why not a stricter one in a few words, and the detail."""

    level: Level
    reason: str
    detail: Detail | None = None


def worst(levels: Iterable[Level]) -> Level:
    """The level that all of them reach; BYTES if there is none."""
    return max(levels, key=list(Level).index, default=Level.BYTES)


def counted(*counts: tuple[int, str]) -> str:
    """``3 rows added, 1 row changed`` of ``(3, "row~ added"), (1, "row~ changed")``; ~ stands for the plural's s."""
    return ", ".join(f"{count:,} {words.replace('~', '' if count == 1 else 's')}" for count, words in counts if count)
