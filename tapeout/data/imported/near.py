"""Near-duplicates: texts of which most runs of five characters are the same.

MinHash and bands find pairs that may be near, the exact Jaccard measure decides. Whether two texts are near depends on
these two alone, so that more texts never part them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

RUN = 5
BANDS, ROWS = 25, 5
"""A pair of measure 0.8 shares one of 25 bands of 5 hashes with a probability of 0.99995, one of 0.3 with 0.06."""

Grams = NDArray[np.uint64]
WORDS = re.compile(r"\w+")
_RANDOM = np.random.Generator(np.random.PCG64(20231))
FACTORS = _RANDOM.integers(1, 2**63, size=BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def grams(text: str) -> Grams:
    """The set of runs of five bytes of a text's words, in lower case with one blank between them, as sorted numbers."""
    content = " ".join(WORDS.findall(text.lower())).encode()
    values = np.frombuffer(content.ljust(RUN), dtype=np.uint8).astype(np.uint64)
    runs = np.zeros(len(values) - RUN + 1, dtype=np.uint64)
    for place in range(RUN):
        runs = (runs << np.uint64(8)) | values[place : len(values) - RUN + 1 + place]
    return np.unique(runs)


def signature(runs: Grams) -> list[bytes]:
    """One key a band: equal keys of two texts say that they may be near."""
    mixed = runs[None, :] * np.uint64(0x9E3779B97F4A7C15)
    hashes = ((mixed ^ (mixed >> np.uint64(31))) * FACTORS[:, None]) >> np.uint64(32)
    least = hashes.min(axis=1).astype("<u4").reshape(BANDS, ROWS)
    return [band.tobytes() for band in least]


def jaccard(first: Grams, second: Grams) -> float:
    """How much of two sets is common: 1 for equal ones."""
    common = len(np.intersect1d(first, second, assume_unique=True))
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


def near_pairs(texts: Sequence[str], least: float, clusters: Clusters) -> Iterator[tuple[int, int]]:
    """Yield pairs of distinct texts that are near and, by ``clusters``, do not belong together yet."""
    sets = [grams(text) for text in texts]
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, runs in enumerate(sets):
        for band, key in enumerate(signature(runs)):
            buckets[band, key].append(place)
    for members in buckets.values():
        for one, other in combinations(members, 2):
            if clusters.first(one) != clusters.first(other) and jaccard(sets[one], sets[other]) >= least:
                yield one, other
