"""MinHash signatures of texts, by rensa (Rust): the share of equal numbers estimates the Jaccard similarity.

The elements are runs of words and punctuation marks, so that white space counts for nothing: vendored copies of a core
differ in indentation and a header. The hash of an element is a function of its words alone, the same everywhere.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from tapeout.config.pretraining import NearDuplicates

WORD = re.compile(r"\w+|[^\w\s]")
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xBF58476D1CE4E5B9)
KNOWN = 500_000
"""Words whose hashes a process remembers."""

Hashes = NDArray[np.uint64]
Signatures = NDArray[np.uint32]


class Words(dict[str, int]):
    """Hash of each word, made when it is first asked for."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN:
            self.clear()
        self[word] = value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return value


WORDS = Words()


def elements(text: str, run: int) -> Hashes:
    """A hash of each run of ``run`` words; of all words, if there are fewer."""
    words = np.fromiter(map(WORDS.__getitem__, WORD.findall(text)), dtype=np.uint64)
    run = min(run, len(words))
    count = len(words) - run + 1
    sums = np.zeros(count, dtype=np.uint64)
    for place in range(run):
        sums = sums * BASE + words[place : place + count]
    sums ^= sums >> np.uint64(29)
    sums *= MIX
    return sums ^ (sums >> np.uint64(32))


def signatures(texts: Sequence[str], settings: NearDuplicates) -> Signatures:
    """One signature a text, [n, permutations]."""
    if not texts:
        return np.empty((0, settings.permutations), dtype=np.uint32)
    hashes = [elements(text, settings.words) for text in texts]
    offsets = np.cumsum([0, *map(len, hashes)]).tolist()
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        np.concatenate(hashes), offsets, settings.permutations, settings.seed
    )
    return np.array(matrix.to_rows(), dtype=np.uint32)
