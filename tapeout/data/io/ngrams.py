"""Hashes of word n-grams that do not depend on white space, case and Unicode form.

The gate for contamination compares texts by these. (``tapeout.data.shards.signatures`` hashes n-grams for near
duplicates: it keeps case and form, takes each mark as an element, and hashes all words of a text at once.)
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray


def _characters(categories: Collection[str]) -> str:
    """Return all characters of some Unicode categories, as ranges of a character class in a pattern."""
    codes = chain(range(0x20000), range(0xE0000, 0xE1000))  # no other code has one of these categories
    characters = [code for code in codes if unicodedata.category(chr(code)) in categories]
    ends = [
        index
        for index in range(len(characters))
        if characters[index : index + 2] != [characters[index], characters[index] + 1]
    ]
    starts = [0, *(index + 1 for index in ends[:-1])]
    return "".join(
        f"\\U{characters[first]:08x}-\\U{characters[last]:08x}" for first, last in zip(starts, ends, strict=True)
    )


IDEOGRAPHS = "\u0e01-\u0e30\u0e40-\u0e46\u0e81-\u0eb0\u0ec0-\u0ec6\u1000-\u102a\u1780-\u17b3\u3005-\u3007\u3040-\u30fe"
IDEOGRAPHS += "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Letters of scripts that do not separate words by spaces: each is a word."""
ASCII_WORD = re.compile(r"\w+|=+|-+|\*+|/+|#+|~+|\?+|\.+|\++|[^\w\s]")
"""Pattern for ASCII texts: a word, or a mark; a row of equal marks, as under a title, is one mark."""
BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
"""Fillers, blanks and selectors of variants: letters, marks and symbols by their category, and never seen."""
SUBSTITUTES = str.maketrans(dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("‐‑‒–—―−", "-"))
"""Typographic marks and the ASCII marks that they replace."""
MAX_CACHED_WORDS = 500_000
"""Words whose hashes a process caches."""
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xBF58476D1CE4E5B9)

Hashes = NDArray[np.uint64]


@cache  # built at its first use: the tables take 0.1 s, which every command would wait for
def any_word() -> re.Pattern[str]:
    """Return the pattern for all texts; on ASCII texts it agrees with ``ASCII_WORD``.

    Combining accents and invisible characters are parts of the word before them, or of none.
    """
    combining = _characters(("Mn", "Mc", "Me", "Cf"))
    return re.compile(
        rf"[{IDEOGRAPHS}][{combining}]*|[^\W{IDEOGRAPHS}]+(?:[{combining}]+[^\W{IDEOGRAPHS}]*)*|=+|-+|\*+|/+|#+|~+|\?+|\.+|\++|[^\w\s{combining}]"
    )


@cache
def invisible() -> re.Pattern[str]:
    """Return the pattern of one invisible character."""
    return re.compile(f"[{_characters(('Cf',))}{BLANK}]")


def word_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern that finds the words and marks of a text."""
    return ASCII_WORD if text.isascii() else any_word()


def normalized(word: str) -> str:
    """Return a word or mark in one form: lower case, NFKC, and a row of equal marks as one mark."""
    if not word.isascii():
        word = invisible().sub("", unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold()))
        word = word.translate(SUBSTITUTES)
    return word.lower() if word[:1].isalnum() or word[:1] == "_" else word[:1]


def unicode_form(text: str) -> str:
    """Return a text in one Unicode form (NFKC) and without invisible characters; ASCII as it is."""
    return text if text.isascii() else invisible().sub("", unicodedata.normalize("NFKC", text))


class WordHashes(dict[str, int]):
    """Hash of each word in its normalized form, computed at its first use."""

    def __missing__(self, word: str) -> int:
        """Compute the hash of a word."""
        if len(self) >= MAX_CACHED_WORDS:
            self.clear()
        digest = hashlib.blake2b(normalized(word).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = value = int.from_bytes(digest, "little")
        return value


WORD_HASHES = WordHashes()


def ngram_hashes(text: str, length: int) -> Hashes:
    """Return the hash of each n-gram of ``length`` words and marks, in their order.

    A shorter text is one n-gram, so that it matches another text of the same words and no more.
    """
    words = np.fromiter(map(WORD_HASHES.__getitem__, word_pattern(text).findall(text)), dtype=np.uint64)
    length = min(length, len(words))
    count = len(words) - length + 1 if length else 0
    sums = np.zeros(count, dtype=np.uint64)
    for index in range(length):
        sums = sums * BASE + words[index : index + count]
    sums ^= sums >> np.uint64(29)
    sums *= MIX
    return sums ^ (sums >> np.uint64(32))


def spans_of(text: str) -> list[tuple[int, int]]:
    """Return the first character and the end of each word."""
    return [match.span() for match in word_pattern(text).finditer(text)]


def passage(spans: Sequence[tuple[int, int]], first: int, words: int) -> tuple[int, int]:
    """Return the characters from the word with index ``first`` to the end of ``words`` words."""
    return spans[first][0], spans[min(first + words, len(spans)) - 1][1]
