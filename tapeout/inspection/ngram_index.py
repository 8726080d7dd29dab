"""Index of the n-grams of all test rows, for lookups from training text of any size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapeout.config.inspection import OverlapSettings
from tapeout.data.io.ngrams import Hashes, ngram_hashes, word_pattern
from tapeout.inspection.rows import read_rows, text_of

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class TestRow:
    """A row of a test set.

    Attributes:
        set: name of the set.
        digest: digest of the row.
        ngrams: number of its n-grams in the index; none if it has no word.
        short: whether it is shorter than an n-gram: only an equal training row overlaps with it.
        boilerplate: whether most of its n-grams are common in its set, and so not in the index.
    """

    set: str
    digest: str
    ngrams: int
    short: bool
    boilerplate: bool


@dataclass(frozen=True)
class NgramIndex:
    """Occurrences of each n-gram in test rows.

    Attributes:
        keys: the distinct hashes of n-grams, sorted.
        starts: start of each n-gram's occurrences, and the end of the last one's.
        owners: index of the row, of each occurrence.
        positions: index of the n-gram in its row, of each occurrence.
        rows: the test rows.
    """

    keys: Hashes
    starts: Numbers
    owners: Numbers
    positions: Numbers
    rows: tuple[TestRow, ...]

    @cached_property
    def shift(self) -> np.uint64:
        """Number of low bits of a hash that ``prefixes`` ignores."""
        return np.uint64(64 - max(16, (16 * len(self.keys)).bit_length()))

    @cached_property
    def prefixes(self) -> NDArray[np.bool_]:
        """Flag for each value of the high bits that occurs in a key; a table lookup is faster than any search."""
        table = np.zeros(1 << (64 - int(self.shift)), dtype=np.bool_)
        table[self.keys >> self.shift] = True
        return table

    def find(self, text: str, length: int) -> list[tuple[int, Numbers, int]]:
        """Return the test rows that share n-grams with a text: index, shared n-grams, and the first one in the text."""
        hashes = ngram_hashes(text, length)
        (hits,) = np.nonzero(self.prefixes[hashes >> self.shift])
        if not len(hits):
            return []
        near = np.minimum(np.searchsorted(self.keys, hashes[hits]), len(self.keys) - 1)
        same = self.keys[near] == hashes[hits]
        hits, near = hits[same], near[same]
        if not len(hits):
            return []
        keys, first = np.unique(near, return_index=True)
        sizes = self.starts[keys + 1] - self.starts[keys]
        chosen = np.repeat(self.starts[keys] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        owners, positions, begins = self.owners[chosen], self.positions[chosen], np.repeat(hits[first], sizes)
        order = np.argsort(owners, kind="stable")
        borders = np.flatnonzero(np.diff(owners[order])) + 1
        return [
            (int(owners[group[0]]), np.sort(positions[group]), int(begins[group].min()))
            for group in np.split(order, borders)
        ]


def build(names: Sequence[str], files: Sequence[Path], settings: OverlapSettings) -> NgramIndex:
    """Index the rows of all test sets.

    An n-gram that many rows of a set share is boilerplate, e.g. a template or a licence header
    (``OverlapSettings.common_rows``), and is left out. A row that would have no n-gram left is nothing but boilerplate:
    all of its n-grams are indexed. Rows of equal digests are one row.
    """
    return index_texts(
        {
            name: {
                row["digest"]: text_of(row)
                for own, file in zip(names, files, strict=True)
                if own == name
                for row in read_rows(file)
            }
            for name in sorted(set(names))
        },
        settings,
    )


def index_texts(sets: Mapping[str, Mapping[str, str]], settings: OverlapSettings) -> NgramIndex:
    """Index texts, given by set and digest; see ``build``."""
    rows: list[TestRow] = []
    parts: list[tuple[Hashes, Numbers, Numbers]] = []
    for name, texts in sorted(sets.items()):
        ngrams = [ngram_hashes(text, settings.ngram_words) for text in texts.values()]
        hashes, owners, positions = _without_boilerplate(ngrams, settings)
        counts = np.bincount(owners, minlength=len(texts)).tolist()
        parts.append((hashes, owners + len(rows), positions))
        for (digest, text), all_ngrams, count in zip(texts.items(), ngrams, counts, strict=True):
            short = len(all_ngrams) <= 1 and len(word_pattern(text).findall(text)) < settings.ngram_words
            rows.append(TestRow(name, digest, count, short, boilerplate=2 * count < len(all_ngrams)))
    hashes, owners, positions = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else _none()
    order = np.lexsort((positions, owners, hashes))
    keys, starts = np.unique(hashes[order], return_index=True)
    return NgramIndex(keys, np.append(starts, len(hashes)), owners[order], positions[order], tuple(rows))


def _without_boilerplate(ngrams: Sequence[Hashes], settings: OverlapSettings) -> tuple[Hashes, Numbers, Numbers]:
    """Return the n-grams of a set that are not common, the indices of their rows, and their positions in the rows."""
    if not sum(map(len, ngrams)):
        return _none()
    hashes = np.concatenate(ngrams)
    owners = np.repeat(np.arange(len(ngrams)), [len(row) for row in ngrams])
    positions = np.concatenate([np.arange(len(row)) for row in ngrams])
    _, numbers = np.unique(hashes, return_inverse=True)
    in_rows = np.unique(numbers * len(ngrams) + owners) // len(ngrams)
    limit = max(settings.common_rows, settings.common_fraction * len(ngrams))
    chosen = np.bincount(in_rows)[numbers] <= limit
    chosen |= (np.bincount(owners[chosen], minlength=len(ngrams)) == 0)[owners]
    return hashes[chosen], owners[chosen], positions[chosen]


def _none() -> tuple[Hashes, Numbers, Numbers]:
    return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
