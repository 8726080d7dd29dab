"""MinHash signatures of texts, by rensa (Rust): the fraction of equal numbers estimates the Jaccard similarity.

The elements are n-grams of words and punctuation marks, so that white space does not matter: vendored copies of a core
differ in indentation and a header. The hash of an n-gram depends on its words alone, not on the process or machine. All
words of a text are hashed at once, by prefix sums of a polynomial hash over its characters.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from tapeout.config.pretraining import MinHash

BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))
INITIAL_POWERS = 2**14
"""Characters for which powers are computed at first; a longer text doubles them."""

Hashes = NDArray[np.uint64]
Signatures = NDArray[np.uint32]

SPACE, WORD, MARK = 0, 1, 2
"""Classes of characters: white space, those of words, and all others, each of which is a separate word."""


def mixed(numbers: Hashes) -> Hashes:
    """Return a pseudo-random number for each number (the finalizer of SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@cache
def kind(code: int) -> int:
    """Return the class of a character, as in regular expressions."""
    character = chr(code)
    return SPACE if character.isspace() else WORD if character.isalnum() or character == "_" else MARK


def powers(base: np.uint64, count: int) -> Hashes:
    """Return 1, base, base squared and so on, modulo 2**64."""
    factors = np.ones(count, dtype=np.uint64)
    factors[1:] = base
    return np.multiply.accumulate(factors)


KINDS = np.array([kind(code) for code in range(128)], dtype=np.uint8)
VALUES = mixed(np.arange(1, 129, dtype=np.uint64))


class Powers:
    """Powers of ``BASE`` and of its inverse, as many as the longest text so far needs."""

    def __init__(self) -> None:
        """Compute the first ``INITIAL_POWERS``."""
        self.up = powers(BASE, INITIAL_POWERS)
        self.down = powers(INVERSE, INITIAL_POWERS)

    def extend_to(self, count: int) -> None:
        """Compute at least ``count`` powers."""
        if count > len(self.up):
            self.up, self.down = powers(BASE, 2 * count), powers(INVERSE, 2 * count)


POWERS = Powers()


def word_hashes(text: str) -> Hashes:
    """Return the hash of each word and of each mark, in their order."""
    if text.isascii():
        ascii_codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        kinds, values = KINDS[ascii_codes], VALUES[ascii_codes]
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        distinct, indices = np.unique(codes, return_inverse=True)
        kinds = np.array([kind(code) for code in distinct.tolist()], dtype=np.uint8)[indices]
        values = mixed(distinct.astype(np.uint64) + np.uint64(1))[indices]
    POWERS.extend_to(len(values))
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * POWERS.up[: len(values)], out=sums[1:])
    begins = kinds != SPACE
    begins[1:] &= (kinds[1:] == MARK) | (kinds[:-1] != WORD)
    ends = kinds != SPACE
    ends[:-1] &= (kinds[:-1] == MARK) | (kinds[1:] != WORD)
    first, last = np.flatnonzero(begins), np.flatnonzero(ends)
    return mixed((sums[last + 1] - sums[first]) * POWERS.down[first])


def elements(text: str, length: int) -> Hashes:
    """Return the hash of each n-gram of ``length`` words; of all words, if there are fewer."""
    words = word_hashes(text)
    length = min(length, len(words))
    count = len(words) - length + 1
    sums = np.zeros(count, dtype=np.uint64)
    for index in range(length):
        sums = sums * BASE + words[index : index + count]
    return mixed(sums)


def signatures(texts: Sequence[str], settings: MinHash) -> Signatures:
    """Return the signatures of texts, [texts, permutations]."""
    if not texts:
        return np.empty((0, settings.permutations), dtype=np.uint32)
    hashes = [elements(text, settings.ngram_words) for text in texts]
    offsets = np.cumsum([0, *map(len, hashes)]).tolist()
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        np.concatenate(hashes), offsets, settings.permutations, settings.seed
    )
    return np.array(matrix.to_rows(), dtype=np.uint32)
