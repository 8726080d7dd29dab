"""Runs of words as numbers: the same text gives the same runs, whatever its white space and case."""

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+|=+|-+|\*+|/+|#+|~+|\?+|\.+|\++|[^\w\s]")
"""A word, or a mark of punctuation; a line of marks under a title or around a comment is one."""
KNOWN = 500_000
"""Words whose numbers a process remembers."""
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xBF58476D1CE4E5B9)

Hashes = NDArray[np.uint64]


class Words(dict[str, int]):
    """Number of each word; made when it is first asked for. Capitals are small letters, many marks are one."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN:
            self.clear()
        plain = word.lower() if word[0].isalnum() or word[0] == "_" else word[0]
        digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = value = int.from_bytes(digest, "little")
        return value


WORDS = Words()


def runs(text: str, length: int) -> Hashes:
    """A number for each run of ``length`` words and marks, in their order; none if the text is shorter."""
    words = np.fromiter(map(WORDS.__getitem__, WORD.findall(text)), dtype=np.uint64)
    count = max(len(words) - length + 1, 0)
    sums = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        sums = sums * BASE + words[place : place + count]
    sums ^= sums >> np.uint64(29)
    sums *= MIX
    return sums ^ (sums >> np.uint64(32))


def passage(text: str, first: int, words: int) -> tuple[int, int]:
    """Characters from the word numbered ``first`` to the end of the last of ``words`` words."""
    spans = [match.span() for match in WORD.finditer(text)]
    return spans[first][0], spans[min(first + words, len(spans)) - 1][1]
