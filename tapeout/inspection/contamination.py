"""Which test rows a training set holds, run of words by run of words (n-gram overlap, as GPT-3's paper has it).

A set is read as a stream, a piece a process; what is remembered is only what was found of the test rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tapeout.config.inspection import Looking
from tapeout.data.io.ngrams import passage, spans_of
from tapeout.data.io.parallel import in_order
from tapeout.inspection.index import Index, Numbers
from tapeout.inspection.rows import text_of

BATCH = 2**22
SHOWN_WORDS = 60
"""Words of the training row's passage that a reader sees."""


@dataclass(frozen=True)
class Best:
    """The training row that has most of a test row; of two equal ones that of the smaller digest.

    Attributes:
        shared: number of the test row's runs that it has.
        digest: of the training row.
        source: it is from.
        place: its path or category, for people.
        passage: where it begins to agree.
    """

    shared: int
    digest: str
    source: str
    place: str
    passage: str

    @property
    def rank(self) -> tuple[int, str]:
        """Smaller is better."""
        return -self.shared, self.digest


@dataclass(frozen=True)
class Held:
    """What a training set has of a test row: numbers of its runs, and who has most of them."""

    runs: Numbers
    best: Best

    def __or__(self, other: "Held") -> "Held":
        return Held(np.union1d(self.runs, other.runs), min(self.best, other.best, key=lambda best: best.rank))


_index: Index | None = None


def start(index: Index) -> None:
    """Give a process the test rows."""
    global _index
    _index = index


def search(training: Path, index: Index, looking: Looking, workers: int) -> dict[int, Held]:
    """What a file of training rows has of the test rows, by their numbers.

    Any number of workers finds the same: runs are united, and the best training row is the least by its rank.
    """
    found: dict[int, Held] = {}
    for part in in_order(partial(look, looking=looking), _batches(training), workers, partial(start, index)):
        for row, held in part.items():
            found[row] = found[row] | held if row in found else held
    return found


def look(lines: list[bytes], looking: Looking) -> dict[int, Held]:
    """``search`` in some lines."""
    assert _index is not None, "start() has not been called in this process"
    parts: dict[int, list[Numbers]] = {}
    best: dict[int, Best] = {}
    for line in lines:
        row = orjson.loads(line)
        text = text_of(row)
        # a row may have something of many test rows: its words are numbered once for all of them
        spans: list[tuple[int, int]] = []
        for number, shared, first in _index.find(text, looking.words):
            parts.setdefault(number, []).append(shared)
            if number not in best or (-len(shared), row["digest"]) <= best[number].rank:
                spans = spans or spans_of(text)
                start, end = passage(spans, first, SHOWN_WORDS)
                place = row.get("path") or row.get("category") or ""
                best[number] = Best(len(shared), row["digest"], row["source"], place, text[start:end])
    return {number: Held(np.unique(np.concatenate(shared)), best[number]) for number, shared in parts.items()}


def lines(found: dict[int, Held], index: Index) -> Iterator[dict[str, Any]]:
    """What was found as JSON rows, by set and digest; runs as pairs of first and last."""
    for number in sorted(found, key=lambda each: (index.rows[each].set, index.rows[each].digest)):
        row, held = index.rows[number], found[number]
        cuts = np.flatnonzero(np.diff(held.runs) > 1) + 1
        yield {
            "set": row.set,
            "digest": row.digest,
            "of": row.runs,
            "short": row.short,
            "runs": [[int(part[0]), int(part[-1])] for part in np.split(held.runs, cuts)],
            "best": {name: getattr(held.best, name) for name in Best.__dataclass_fields__},
        }


def _batches(training: Path) -> Iterator[list[bytes]]:
    with training.open("rb") as stream:
        while found := stream.readlines(BATCH):
            yield found
