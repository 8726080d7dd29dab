"""Near-duplicate questions: texts that share most runs of five characters.

MinHash with banding finds candidate pairs, the exact Jaccard index decides. Whether two texts are near depends on these
two alone, so more texts never separate them. The step of the RTL questions runs in an environment without ``rensa``,
hence the MinHash in NumPy.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tapeout.data.io.ngrams import unicode_form

RUN = 5
BANDS, ROWS = 25, 5
"""Two texts of similarity 0.8 share one of 25 bands of 5 hashes with probability 0.99995, of 0.3 with 0.06."""

Grams = NDArray[np.uint64]
Keys = NDArray[np.uint64]
"""One key a band; equal keys of two texts make them a candidate pair."""
WORDS = re.compile(r"\w+")
LETTERS = bytes(ord(chr(code).lower()) if chr(code).isalnum() or code == ord("_") else ord(" ") for code in range(128))
LETTERS += bytes(128)
"""Lower-case letters, digits and underscores of ASCII as they are, all other characters as blanks."""
_RANDOM = np.random.Generator(np.random.PCG64(20231))
FACTORS = _RANDOM.integers(0, 2**31, size=(BANDS * ROWS, 1), dtype=np.uint32) * np.uint32(2) + np.uint32(1)
ADDENDS = _RANDOM.integers(0, 2**32, size=(BANDS * ROWS, 1), dtype=np.uint32)
CHUNK = 2**13
"""Runs whose hashes are in memory together."""
MAX_REMEMBERED = 1_000_000
"""Pairs that are remembered as not near; others are compared again in the next band."""


def runs_of(text: str) -> Grams:
    """Return every run of five bytes of the words of a text, as a number.

    The words are in lower case and in one Unicode form, and joined by blanks.
    """
    if text.isascii():
        content = b" ".join(text.encode("ascii").translate(LETTERS).split())
    else:
        content = " ".join(WORDS.findall(unicode_form(unicode_form(text).casefold()))).encode()
    values = np.frombuffer(content.ljust(RUN), dtype=np.uint8).astype(np.uint64)
    count = len(values) - RUN + 1
    runs = values[:count].copy()
    for offset in range(1, RUN):
        runs <<= np.uint64(8)
        runs |= values[offset : offset + count]
    return runs


def grams(text: str) -> Grams:
    """Return the set of runs of a text, as sorted numbers."""
    return np.unique(runs_of(text))


def keys_of(text: str) -> Keys:
    """Return the MinHash keys of a text, [bands]."""
    runs = runs_of(text)
    mixed = runs * np.uint64(0x9E3779B97F4A7C15)
    mixed = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(8)).astype(np.uint32)
    parts = [(mixed[start : start + CHUNK] * FACTORS + ADDENDS).min(axis=1) for start in range(0, len(mixed), CHUNK)]
    minima = np.min(parts, axis=0).astype(np.uint64).reshape(BANDS, ROWS)
    keys = np.zeros(BANDS, dtype=np.uint64)
    for column in range(ROWS):
        keys = (keys ^ minima[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def keys_of_all(texts: Sequence[str]) -> Keys:
    """Return the keys of several texts, [texts, bands]."""
    return np.stack([keys_of(text) for text in texts])


def jaccard(first: Grams, second: Grams) -> float:
    """Return the Jaccard index of two sets: 1 for equal ones."""
    if len(first) > len(second):
        first, second = second, first
    indices = second.searchsorted(first)
    common = int(np.count_nonzero(second[np.minimum(indices, len(second) - 1)] == first))
    return common / (len(first) + len(second) - common)


class UnionFind:
    """Disjoint sets of the numbers below ``count``; the smallest member represents a set."""

    def __init__(self, count: int) -> None:
        """Start with ``count`` sets of one member."""
        self.parents = list(range(count))

    def find(self, member: int) -> int:
        """Return the representative of a member's set."""
        while self.parents[member] != member:
            self.parents[member] = self.parents[self.parents[member]]
            member = self.parents[member]
        return member

    def join(self, one: int, other: int) -> bool:
        """Unite the sets of two members; return whether they were different."""
        first, second = sorted((self.find(one), self.find(other)))
        self.parents[second] = first
        return first != second


def near_pairs(texts: Sequence[str], keys: Keys, min_similarity: float, joined: UnionFind) -> Iterator[tuple[int, int]]:
    """Yield pairs of texts, by index, that are near and not yet in the same set of ``joined``.

    Args:
        texts: distinct texts.
        keys: keys of the texts, [texts, bands].
        min_similarity: minimum Jaccard index of near texts.
        joined: sets of texts; the caller may join more between two pairs.
    """

    @lru_cache(maxsize=10_000)
    def grams_of(index: int) -> Grams:
        return grams(texts[index])

    dissimilar: set[tuple[int, int]] = set()

    def are_near(pair: tuple[int, int]) -> bool:
        if pair in dissimilar:
            return False
        one, other = grams_of(pair[0]), grams_of(pair[1])
        # sets of very different sizes cannot be near
        close = min(len(one), len(other)) >= min_similarity * max(len(one), len(other)) - 1e-6
        near = close and jaccard(one, other) >= min_similarity
        if not near and len(dissimilar) < MAX_REMEMBERED:
            dissimilar.add(pair)
        return near

    for band in keys.T:
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.append(True, band[order[1:]] != band[order[:-1]])) if len(order) else order
        sizes = np.diff(np.append(starts, len(order)))
        for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            sets: list[
                list[int]
            ] = []  # of this bucket; texts of one set are not compared, of which there may be thousands
            for text in order[start : start + size].tolist():
                own, others = [text], []
                for texts_of_set in sets:
                    near = joined.find(text) == joined.find(texts_of_set[0])
                    if not near:
                        pair = next(filter(are_near, ((member, text) for member in texts_of_set)), None)
                        near = pair is not None
                        if pair is not None:
                            yield pair
                    if near:
                        texts_of_set += own
                        own = texts_of_set
                    else:
                        others.append(texts_of_set)
                sets = [*others, own]
