"""Contamination: test rows that a training set contains, by n-gram overlap as in GPT-3 (arXiv 2005.14165, app. C).

A training set is read as a stream, in pieces that several processes share; only overlaps with test rows stay in memory.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tapeout.config.inspection import OverlapSettings
from tapeout.data.io.ngrams import passage, spans_of
from tapeout.data.io.parallel import in_order
from tapeout.inspection.ngram_index import NgramIndex, Numbers
from tapeout.inspection.rows import text_of

BATCH = 2**22
"""Bytes of training rows that a process reads at a time."""
PASSAGE_WORDS = 60
"""Words of the training row's passage that the report shows."""

Ranges = tuple[tuple[int, int], ...]
"""Ranges of consecutive n-grams: the first and the last of each."""


@dataclass(frozen=True)
class BestMatch:
    """The training row that shares most n-grams with a test row; of equal ones that with the smaller digest.

    Attributes:
        shared: number of shared n-grams.
        digest: digest of the training row.
        source: its source.
        location: its path or category.
        passage: its text from the first shared n-gram on.
    """

    shared: int
    digest: str
    source: str
    location: str
    passage: str

    @property
    def rank(self) -> tuple[int, str]:
        """Sort key: the smallest is the best."""
        return -self.shared, self.digest


@dataclass(frozen=True)
class Overlap:
    """Overlap of a training set with a test row: the positions of shared n-grams, and the best match."""

    positions: Numbers
    best: BestMatch

    def __or__(self, other: "Overlap") -> "Overlap":
        """Return the overlap of both parts of a training set."""
        best = min(self.best, other.best, key=lambda match: match.rank)
        return Overlap(np.union1d(self.positions, other.positions), best)


@dataclass(frozen=True)
class RowOverlap:
    """Overlap of a whole training set with a test row, for the report.

    Attributes:
        digest: digest of the test row.
        fraction: fraction of its n-grams that the training set has.
        ranges: these n-grams.
        best: the best match, as JSON.
        short: whether the test row is shorter than an n-gram, so that only an equal row overlaps with it.
    """

    digest: str
    fraction: float
    ranges: Ranges
    best: Mapping[str, Any]
    short: bool = False


_index: NgramIndex | None = None


def start(index: NgramIndex) -> None:
    """Give the index to this process."""
    global _index
    _index = index


def find_overlaps(training: Path, index: NgramIndex, settings: OverlapSettings, workers: int) -> dict[int, Overlap]:
    """Return the overlap of a file of training rows with each test row, by index of the test row.

    The result does not depend on the number of workers: shared n-grams are united, the best match is a minimum.
    """
    overlaps: dict[int, Overlap] = {}
    work = partial(overlaps_of, settings=settings)
    for part in in_order(work, _batches(training), workers, partial(start, index)):
        merge(overlaps, part)
    return overlaps


def merge(overlaps: dict[int, Overlap], part: Mapping[int, Overlap]) -> None:
    """Add the overlaps of another part of the training set."""
    for row, overlap in part.items():
        overlaps[row] = overlaps[row] | overlap if row in overlaps else overlap


def overlaps_of(lines: list[bytes], settings: OverlapSettings) -> dict[int, Overlap]:
    """Return the overlaps of some lines of a training set; see ``find_overlaps``."""
    assert _index is not None, "start() has not been called in this process"
    positions: dict[int, list[Numbers]] = {}
    best: dict[int, BestMatch] = {}
    for line in lines:
        row = orjson.loads(line)
        text = text_of(row)
        # a row may overlap with many test rows: its words are located once for all of them
        spans: list[tuple[int, int]] = []
        for number, shared, first in _index.find(text, settings.ngram_words):
            positions.setdefault(number, []).append(shared)
            if number not in best or (-len(shared), row["digest"]) <= best[number].rank:
                spans = spans or spans_of(text)
                start, end = passage(spans, first, PASSAGE_WORDS)
                location = row.get("path") or row.get("category") or ""
                best[number] = BestMatch(len(shared), row["digest"], row["source"], location, text[start:end])
    return {number: Overlap(np.unique(np.concatenate(parts)), best[number]) for number, parts in positions.items()}


def overlap_lines(overlaps: Mapping[int, Overlap], index: NgramIndex) -> Iterator[dict[str, Any]]:
    """Yield overlaps as JSON rows, by set and digest."""
    for number in sorted(overlaps, key=lambda number: (index.rows[number].set, index.rows[number].digest)):
        row, overlap = index.rows[number], overlaps[number]
        cuts = np.flatnonzero(np.diff(overlap.positions) > 1) + 1
        yield {
            "set": row.set,
            "digest": row.digest,
            "ngrams": row.ngrams,
            "short": row.short,
            "ranges": [[int(part[0]), int(part[-1])] for part in np.split(overlap.positions, cuts)],
            "best": {name: getattr(overlap.best, name) for name in BestMatch.__dataclass_fields__},
        }


def unite(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[RowOverlap]]:
    """Return overlaps by test set, the largest first."""
    by_row: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_row[line["set"], line["digest"]].append(line)
    overlaps: defaultdict[str, list[RowOverlap]] = defaultdict(list)
    for (name, digest), parts in by_row.items():
        ranges = _union(pair for part in parts for pair in part["ranges"])
        count = sum(last - first + 1 for first, last in ranges)
        best = min((part["best"] for part in parts), key=lambda best: (-best["shared"], best["digest"]))
        overlaps[name].append(RowOverlap(digest, count / parts[0]["ngrams"], ranges, best, parts[0]["short"]))
    return {name: sorted(rows, key=lambda row: (-row.fraction, row.digest)) for name, rows in sorted(overlaps.items())}


def _union(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Return disjoint ranges in order; adjacent ones are joined."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((first, last) for first, last in pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return tuple(merged)


def _batches(training: Path) -> Iterator[list[bytes]]:
    with training.open("rb") as stream:
        while lines := stream.readlines(BATCH):
            yield lines
