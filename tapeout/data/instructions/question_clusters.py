"""Near-duplicates: texts of which most runs of five characters are the same.

MinHash and bands find pairs that may be near, the exact Jaccard measure decides. Whether two texts are near depends on
these two alone, so that more texts never part them.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

RUN = 5
BANDS, ROWS = 25, 5
"""A pair of measure 0.8 shares one of 25 bands of 5 hashes with a probability of 0.99995, one of 0.3 with 0.06."""

Grams = NDArray[np.uint64]
Keys = NDArray[np.uint64]
"""One a band: equal keys of two texts say that they may be near."""
WORDS = re.compile(r"\w+")
LETTERS = bytes(ord(chr(code).lower()) if chr(code).isalnum() or code == ord("_") else ord(" ") for code in range(128))
LETTERS += bytes(128)
_RANDOM = np.random.Generator(np.random.PCG64(20231))
FACTORS = _RANDOM.integers(0, 2**31, size=(BANDS * ROWS, 1), dtype=np.uint32) * np.uint32(2) + np.uint32(1)
ADDENDS = _RANDOM.integers(0, 2**32, size=(BANDS * ROWS, 1), dtype=np.uint32)
AT_ONCE = 2**13
"""Runs whose hashes are in memory at once."""
REMEMBERED = 1_000_000
"""Pairs that were compared and are not near; the others are compared again in the next band."""


def runs_of(text: str) -> Grams:
    """Every run of five bytes of a text's words, in lower case with one blank between them, as a number."""
    if text.isascii():
        content = b" ".join(text.encode("ascii").translate(LETTERS).split())
    else:
        content = " ".join(WORDS.findall(text.lower())).encode()
    values = np.frombuffer(content.ljust(RUN), dtype=np.uint8).astype(np.uint64)
    count = len(values) - RUN + 1
    runs = values[:count].copy()
    for place in range(1, RUN):
        runs <<= np.uint64(8)
        runs |= values[place : place + count]
    return runs


def grams(text: str) -> Grams:
    """The set of a text's runs, as sorted numbers."""
    runs = runs_of(text)
    runs.sort()
    return runs[np.append(True, runs[1:] != runs[:-1])]


def keys_of(text: str) -> Keys:
    """The keys by which a text is found: for each band a hash of the least hashes of its runs."""
    runs = runs_of(text)
    mixed = runs * np.uint64(0x9E3779B97F4A7C15)
    mixed = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(8)).astype(np.uint32)
    parts = [
        (mixed[start : start + AT_ONCE] * FACTORS + ADDENDS).min(axis=1) for start in range(0, len(mixed), AT_ONCE)
    ]
    least = (parts[0] if len(parts) == 1 else np.min(parts, axis=0)).astype(np.uint64).reshape(BANDS, ROWS)
    keys = np.zeros(BANDS, dtype=np.uint64)
    for column in range(ROWS):
        keys = (keys ^ least[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def jaccard(first: Grams, second: Grams) -> float:
    """How much of two sets is common: 1 for equal ones."""
    if len(first) > len(second):
        first, second = second, first
    places = second.searchsorted(first)
    common = int(np.count_nonzero(second[np.minimum(places, len(second) - 1)] == first))
    return common / (len(first) + len(second) - common)


class Clusters:
    """Things that belong together, by the first of them."""

    def __init__(self, count: int) -> None:
        self.parents = list(range(count))

    def first(self, place: int) -> int:
        """The first thing that ``place`` belongs with."""
        while self.parents[place] != place:
            self.parents[place] = self.parents[self.parents[place]]
            place = self.parents[place]
        return place

    def join(self, one: int, other: int) -> None:
        """Two things, and whatever they belong with, belong together."""
        one, other = sorted((self.first(one), self.first(other)))
        self.parents[other] = one


def near_pairs(texts: Sequence[str], keys: Keys, least: float, clusters: Clusters) -> Iterator[tuple[int, int]]:
    """Yield pairs of distinct texts that are near and, by ``clusters``, do not belong together yet.

    Args:
        texts: all of them; only those that are compared are looked at.
        keys: of the texts, [texts, bands].
        least: measure from which on texts are near.
        clusters: may grow between two pairs.
    """

    @lru_cache(maxsize=10_000)
    def runs(place: int) -> Grams:
        return grams(texts[place])

    apart: set[tuple[int, int]] = set()
    for band in keys.T:
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.append(True, band[order[1:]] != band[order[:-1]])) if len(order) else order
        sizes = np.diff(np.append(starts, len(order)))
        for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            for pair in combinations(order[start : start + size].tolist(), 2):
                if pair in apart or clusters.first(pair[0]) == clusters.first(pair[1]):
                    continue
                one, other = runs(pair[0]), runs(pair[1])
                # sets of very different sizes need not be compared
                close = min(len(one), len(other)) >= least * max(len(one), len(other)) - 1e-6
                if close and jaccard(one, other) >= least:
                    yield pair
                elif len(apart) < REMEMBERED:
                    apart.add(pair)
