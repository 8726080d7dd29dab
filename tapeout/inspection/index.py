"""An index of all test rows by their runs of words, to look them up in training text of any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapeout.config.inspection import Looking
from tapeout.data.io.ngrams import Hashes, ngram_hashes, word_pattern
from tapeout.inspection.rows import rows_of, text_of

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class TestRow:
    """A row of a test set.

    Attributes:
        set: name of the set.
        digest: of the row.
        runs: how many runs of it are looked for; none if it has no word.
        short: whether it is shorter than a run: it is found only where a row says the same and nothing else.
        form: whether most of its runs are form, and so not looked for.
    """

    set: str
    digest: str
    runs: int
    short: bool
    form: bool


@dataclass(frozen=True)
class Index:
    """Where each run of a test row stands.

    Attributes:
        keys: the distinct runs, sorted.
        starts: where the places of each run begin, and the end of the last one's.
        owners: number of the row of each place.
        places: number of the run in its row.
        rows: the test rows.
    """

    keys: Hashes
    starts: Numbers
    owners: Numbers
    places: Numbers
    rows: tuple[TestRow, ...]

    @cached_property
    def shift(self) -> np.uint64:
        """Bits of a run that are left out where ``maybe`` is asked."""
        return np.uint64(64 - max(16, (16 * len(self.keys)).bit_length()))

    @cached_property
    def maybe(self) -> NDArray[np.bool_]:
        """Whether a run that begins with some bits may be there: few are, and no search is as fast as one look."""
        found = np.zeros(1 << (64 - int(self.shift)), dtype=np.bool_)
        found[self.keys >> self.shift] = True
        return found

    def find(self, text: str, length: int) -> list[tuple[int, Numbers, int]]:
        """Test rows of which a text has runs: the row's number, its runs' numbers, and the first run in the text."""
        wanted = ngram_hashes(text, length)
        (hits,) = np.nonzero(self.maybe[wanted >> self.shift])
        if not len(hits):
            return []
        near = np.minimum(np.searchsorted(self.keys, wanted[hits]), len(self.keys) - 1)
        same = self.keys[near] == wanted[hits]
        hits, near = hits[same], near[same]
        if not len(hits):
            return []
        keys, first = np.unique(near, return_index=True)
        sizes = self.starts[keys + 1] - self.starts[keys]
        chosen = np.repeat(self.starts[keys] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        owners, places, begins = self.owners[chosen], self.places[chosen], np.repeat(hits[first], sizes)
        order = np.argsort(owners, kind="stable")
        borders = np.flatnonzero(np.diff(owners[order])) + 1
        return [
            (int(owners[group[0]]), np.sort(places[group]), int(begins[group].min()))
            for group in np.split(order, borders)
        ]


def build(names: Sequence[str], files: Sequence[Path], looking: Looking) -> Index:
    """Index the rows of all test sets.

    A run that many rows of a set have is their form, not what they say (``Looking.common_rows``): it is left out. A row
    that would have no run left says nothing else than its form: all of it is looked for.
    Rows of equal digests are one row.

    Args:
        names: name of each file's set; a set may have several files.
        files: JSON Lines.
        looking: length of the runs, and what is common.
    """
    rows: list[TestRow] = []
    found: list[tuple[Hashes, Numbers, Numbers]] = []
    for name in sorted(set(names)):
        texts = {
            row["digest"]: text_of(row)
            for own, file in zip(names, files, strict=True)
            if own == name
            for row in rows_of(file)
        }
        each = [ngram_hashes(text, looking.words) for text in texts.values()]
        hashes, owners, places = _set(each, looking)
        counts = np.bincount(owners, minlength=len(texts)).tolist()
        found.append((hashes, owners + len(rows), places))
        for (digest, text), all_, count in zip(texts.items(), each, counts, strict=True):
            short = len(all_) <= 1 and len(word_pattern(text).findall(text)) < looking.words
            rows.append(TestRow(name, digest, count, short, 2 * count < len(all_)))
    hashes, owners, places = (np.concatenate(column) for column in zip(*found, strict=True)) if found else _none()
    order = np.lexsort((places, owners, hashes))
    keys, starts = np.unique(hashes[order], return_index=True)
    return Index(keys, np.append(starts, len(hashes)), owners[order], places[order], tuple(rows))


def _set(each: Sequence[Hashes], looking: Looking) -> tuple[Hashes, Numbers, Numbers]:
    """Runs of a set's rows without the common ones, the rows' numbers, and the runs' numbers in them."""
    if not sum(map(len, each)):
        return _none()
    hashes = np.concatenate(each)
    owners = np.repeat(np.arange(len(each)), [len(row) for row in each])
    places = np.concatenate([np.arange(len(row)) for row in each])
    _, numbers = np.unique(hashes, return_inverse=True)
    in_rows = np.unique(numbers * len(each) + owners) // len(each)
    limit = max(looking.common_rows, looking.common_share * len(each))
    kept = np.bincount(in_rows)[numbers] <= limit
    kept |= (np.bincount(owners[kept], minlength=len(each)) == 0)[owners]
    return hashes[kept], owners[kept], places[kept]


def _none() -> tuple[Hashes, Numbers, Numbers]:
    return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
