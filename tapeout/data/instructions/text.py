"""Text of a row: white space, digests, and choices that belong to a row or group."""

import hashlib

import orjson


def digest_of(*parts: str) -> str:
    """Return the SHA-256 of a list of strings in hexadecimal digits; different lists have different digests."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def clean(text: str) -> str:
    """Normalize white space: Unix line ends, none at the ends of lines, none around the text."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(map(str.rstrip, text.split("\n"))).strip() if "\n" in text else text.strip()


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
    """Toss a fair coin for a row: a function of the seed and the row alone, whatever other rows there are."""
    return int(digest_of(str(seed), digest), 16) % 2 == 0


def fraction_of(seed: int, key: str) -> float:
    """Return a number from 0 to 1 for a key, evenly distributed over all keys."""
    return int(digest_of(str(seed), key)[:13], 16) / 16.0**13
