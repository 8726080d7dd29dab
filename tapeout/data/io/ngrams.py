"""Runs of words as numbers: the same text gives the same runs, whatever its white space, case and Unicode form."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray


def _characters(kinds: Collection[str]) -> str:
    """All characters of some categories, as they stand between brackets in a pattern."""
    codes = chain(range(0x20000), range(0xE0000, 0xE1000))  # none of the others has one
    found = [code for code in codes if unicodedata.category(chr(code)) in kinds]
    ends = [place for place in range(len(found)) if found[place : place + 2] != [found[place], found[place] + 1]]
    starts = [0, *(place + 1 for place in ends[:-1])]
    return "".join(f"\\U{found[first]:08x}-\\U{found[last]:08x}" for first, last in zip(starts, ends, strict=True))


PARTS = _characters(("Mn", "Mc", "Me", "Cf"))
"""Accents that are characters of their own, and what nobody sees: parts of the word before them, or of none."""
ALONE = "\u0e01-\u0e30\u0e40-\u0e46\u0e81-\u0eb0\u0ec0-\u0ec6\u1000-\u102a\u1780-\u17b3\u3005-\u3007\u3040-\u30fe"
ALONE += "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Letters of scripts without blanks between words: each is a word."""
PLAIN = re.compile(r"\w+|=+|-+|\*+|/+|#+|~+|\?+|\.+|\++|[^\w\s]")
"""A word, or a mark of punctuation; a line of marks under a title or around a comment is one. For ASCII."""
ANY = re.compile(
    rf"[{ALONE}][{PARTS}]*|[^\W{ALONE}]+(?:[{PARTS}]+[^\W{ALONE}]*)*|=+|-+|\*+|/+|#+|~+|\?+|\.+|\++|[^\w\s{PARTS}]"
)
"""The same for all texts; of an ASCII text the two find the same."""
INVISIBLE = re.compile(f"[{_characters(('Cf',))}]")
SAME = str.maketrans(dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("‐‑‒–—―−", "-"))
"""Marks that programs put in the place of others."""
KNOWN = 500_000
"""Words whose numbers a process remembers."""
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xBF58476D1CE4E5B9)

Hashes = NDArray[np.uint64]


def words_of(text: str) -> re.Pattern[str]:
    """The pattern that finds a text's words and marks."""
    return PLAIN if text.isascii() else ANY


def plain(word: str) -> str:
    """A word or mark without what is only its looks: capitals, composed or not, how often a mark is repeated."""
    if not word.isascii():
        word = INVISIBLE.sub("", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold()))
        word = word.translate(SAME)
    return word.lower() if word[:1].isalnum() or word[:1] == "_" else word[:1]


class Words(dict[str, int]):
    """Number of each word; made when it is first asked for. Capitals are small letters, many marks are one."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN:
            self.clear()
        digest = hashlib.blake2b(plain(word).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = value = int.from_bytes(digest, "little")
        return value


WORDS = Words()


def runs(text: str, length: int) -> Hashes:
    """A number for each run of ``length`` words and marks, in their order; a shorter text is one run by itself.

    So a short text is found where another says the same and nothing else.
    """
    words = np.fromiter(map(WORDS.__getitem__, words_of(text).findall(text)), dtype=np.uint64)
    length = min(length, len(words))
    count = len(words) - length + 1 if length else 0
    sums = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        sums = sums * BASE + words[place : place + count]
    sums ^= sums >> np.uint64(29)
    sums *= MIX
    return sums ^ (sums >> np.uint64(32))


def spans_of(text: str) -> list[tuple[int, int]]:
    """Where each word begins and ends."""
    return [match.span() for match in words_of(text).finditer(text)]


def passage(spans: Sequence[tuple[int, int]], first: int, words: int) -> tuple[int, int]:
    """Characters from the word numbered ``first`` to the end of the last of ``words`` words."""
    return spans[first][0], spans[min(first + words, len(spans)) - 1][1]
