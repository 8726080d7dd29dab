"""How much of each test row the training sets hold, put together from what was found in each of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Row:
    """A test row of which a training set has something.

    Attributes:
        digest: of the row.
        share: of its runs.
        runs: first and last of those that follow each other.
        best: the training row that has most of it, as ``contamination.Best`` writes it.
        short: whether it is shorter than a run, and some training row says just the same.
    """

    digest: str
    share: float
    runs: Ranges
    best: Mapping[str, Any]
    short: bool = False


def unite(parts: Iterable[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """Rows by test set, those most held first.

    Args:
        parts: lines of overlaps.jsonl, of one training set or of all its shards.
    """
    found: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for part in parts:
        found[part["set"], part["digest"]].append(part)
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for (name, digest), each in found.items():
        runs = _union(pair for part in each for pair in part["runs"])
        count = sum(last - first + 1 for first, last in runs)
        best = min((part["best"] for part in each), key=lambda best: (-best["shared"], best["digest"]))
        rows[name].append(Row(digest, count / each[0]["of"], runs, best, each[0]["short"]))
    return {name: sorted(each, key=lambda row: (-row.share, row.digest)) for name, each in sorted(rows.items())}


def _union(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges without overlap, in order; neighbours are one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((first, last) for first, last in pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return tuple(merged)
