"""The row type that every format produces, with its digest and the random choices that depend on it."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an instruction data set.

    Attributes:
        content: the training content, as written to the file: ``input`` and ``output``, or ``conversations``.
        category: kind of the row; the split keeps the proportions of categories.
        group: rows of one group share a split.
        question: text that is compared to find near-duplicates.
        digest: SHA-256 of the content as it was read; rows are ordered by it.
        source: name of the source.
        licence: licence that the record states itself; empty if that of its source applies.
    """

    content: dict[str, Any]
    category: str
    group: str
    question: str
    digest: str
    source: str
    licence: str = ""

    def as_json(self, licence: str) -> dict[str, Any]:
        """Return the row as written to the file; ``licence`` is that of its source."""
        licence = self.licence or licence
        signature = {"category": self.category, "source": self.source, "licence": licence, "group": self.group}
        return {**self.content, **signature, "digest": self.digest}


def digest_of(*parts: str) -> str:
    """Return the SHA-256 of a list of strings in hexadecimal digits; different lists have different digests."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def clean(text: str) -> str:
    """Normalize white space: Unix line ends, none at the ends of lines, none around the text.

    The indentation of the first line stays if all other lines have it too: it is that of a block of code.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" not in text:
        return text.strip()
    lines = "\n".join(map(str.rstrip, text.split("\n"))).strip("\n").split("\n")
    indentation = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    is_block = len(lines) > 1 and all(line.startswith(indentation) for line in lines if line)
    return "\n".join(lines) if is_block else "\n".join(lines).strip()


def has_surrogates(text: str) -> bool:
    """Return whether a text holds a lone surrogate (in the text of a file: a byte that is not UTF-8)."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def context_first(seed: int, digest: str) -> bool:
    """Toss a fair coin for a row: a function of the seed and the row alone, independent of other rows."""
    return int(digest_of(str(seed), digest), 16) % 2 == 0


def fraction_of(seed: int, key: str) -> float:
    """Return a number from 0 to 1 for a key, evenly distributed over all keys."""
    return int(digest_of(str(seed), key)[:13], 16) / 16.0**13
