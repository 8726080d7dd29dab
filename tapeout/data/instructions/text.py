"""Text of a row: the one white-space rule, the coin, digests.

``tapeout.data.instructions.formatting`` has the same rule and coin (a test compares them); it is not imported, because the questions
about RTL stand behind it, and their code would be part of the identity of every import.
"""

import hashlib
import re

import orjson

CITATION = re.compile(r"\[\d+\]")


def digest_of(*parts: str) -> str:
    """SHA-256 of a list of strings, in hexadecimal digits; no two lists run together."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def clean(text: str) -> str:
    """Unix line ends, no blanks at the ends of lines, none around the text (F38)."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(map(str.rstrip, text.split("\n"))).strip() if "\n" in text else text.strip()


def has_surrogates(text: str) -> bool:
    """Whether a text holds half a character (or, in a file's text, a byte that is not UTF-8)."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def context_first(seed: int, digest: str) -> bool:
    """A fair coin that belongs to the row: the same on every machine, in any order, among any other rows (F36)."""
    return int(digest_of(str(seed), digest), 16) % 2 == 0


def share_of(seed: int, key: str) -> float:
    """A number from 0 to 1 that belongs to a key, evenly spread over all keys."""
    return int(digest_of(str(seed), key)[:13], 16) / 16.0**13
