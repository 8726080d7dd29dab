"""MinHash signatures of texts, by rensa (Rust): the share of equal numbers estimates the Jaccard similarity.

The elements are runs of words and punctuation marks, so that white space counts for nothing: vendored copies of a core
differ in indentation and a header. The hash of an element is a function of its words alone, the same everywhere. All
words of a text are hashed at once, by sums over its characters.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from tapeout.config.pretraining import Signing

BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))
STEP = 2**14
"""Powers are held for so many places; a longer text is a few of such parts."""

Hashes = NDArray[np.uint64]
Signatures = NDArray[np.uint32]

SPACE, WORD, MARK = 0, 1, 2
"""Kinds of characters: white space, what words are made of, all others, each of which is an element of its own."""


def mixed(numbers: Hashes) -> Hashes:
    """A random number for each number (the finaliser of SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@cache
def kind(code: int) -> int:
    """Kind of a character, as regular expressions see it."""
    character = chr(code)
    return SPACE if character.isspace() else WORD if character.isalnum() or character == "_" else MARK


def powers(base: np.uint64, count: int) -> Hashes:
    """1, base, base squared and so on, modulo 2**64."""
    found = np.ones(count, dtype=np.uint64)
    found[1:] = base
    return np.multiply.accumulate(found)


KINDS = np.array([kind(code) for code in range(128)], dtype=np.uint8)
VALUES = mixed(np.arange(1, 129, dtype=np.uint64))


class Powers:
    """Powers of ``BASE`` and of its inverse, as many as the longest text has needed."""

    def __init__(self) -> None:
        self.up = powers(BASE, STEP)
        self.down = powers(INVERSE, STEP)

    def reach(self, count: int) -> None:
        """Have at least ``count``."""
        if count > len(self.up):
            self.up, self.down = powers(BASE, 2 * count), powers(INVERSE, 2 * count)


POWERS = Powers()


def words_of(text: str) -> Hashes:
    """A hash of each word and of each mark, in their order."""
    if text.isascii():
        small = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        kinds, values = KINDS[small], VALUES[small]
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        known, places = np.unique(codes, return_inverse=True)
        kinds = np.array([kind(code) for code in known.tolist()], dtype=np.uint8)[places]
        values = mixed(known.astype(np.uint64) + np.uint64(1))[places]
    POWERS.reach(len(values))
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * POWERS.up[: len(values)], out=sums[1:])
    begins = kinds != SPACE
    begins[1:] &= (kinds[1:] == MARK) | (kinds[:-1] != WORD)
    ends = kinds != SPACE
    ends[:-1] &= (kinds[:-1] == MARK) | (kinds[1:] != WORD)
    first, last = np.flatnonzero(begins), np.flatnonzero(ends)
    return mixed((sums[last + 1] - sums[first]) * POWERS.down[first])


def elements(text: str, run: int) -> Hashes:
    """A hash of each run of ``run`` words; of all words, if there are fewer."""
    words = words_of(text)
    run = min(run, len(words))
    count = len(words) - run + 1
    sums = np.zeros(count, dtype=np.uint64)
    for place in range(run):
        sums = sums * BASE + words[place : place + count]
    return mixed(sums)


def signatures(texts: Sequence[str], settings: Signing) -> Signatures:
    """One signature a text, [n, permutations]."""
    if not texts:
        return np.empty((0, settings.permutations), dtype=np.uint32)
    hashes = [elements(text, settings.words) for text in texts]
    offsets = np.cumsum([0, *map(len, hashes)]).tolist()
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        np.concatenate(hashes), offsets, settings.permutations, settings.seed
    )
    return np.array(matrix.to_rows(), dtype=np.uint32)
