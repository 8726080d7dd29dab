"""Decode text from UTF-8 or legacy encodings, and normalize it."""

import codecs
import re
from collections import Counter

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters without a meaning in text. Tabs, line feeds and form feeds are not among them."""
ASCII_CONTROLS = bytes(code for code in range(128) if CONTROLS.match(chr(code)))


def decode_bytes(content: bytes, repaired: Counter[str]) -> str | None:
    """Return the text of a file's bytes, or None if the file is binary.

    A byte-order mark decides; then UTF-8, if the bytes are valid; then Windows-1252, in which most old comments with
    accents were written; then Latin-1, in which every byte has a meaning.

    Args:
        content: the file's bytes.
        repaired: incremented by the name of the repair, if one was needed.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            try:
                text = content[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                return None
            repaired[f"byte-order mark, {encoding}"] += 1
            return text
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1252")
        repaired["not UTF-8, read as Windows-1252"] += 1
    except UnicodeDecodeError:
        text = content.decode("latin-1")
        repaired["not UTF-8, read as Latin-1"] += 1
    return text


def clean_text(text: str, repaired: Counter[str]) -> str:
    """Return the text with Unix line ends and without control characters; count repairs in ``repaired``."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        repaired["line ends"] += 1
    if text.isascii():
        # several times faster than the pattern
        cleaned = text.encode("ascii").translate(None, ASCII_CONTROLS).decode("ascii")
    else:
        cleaned = CONTROLS.sub("", text)
    if len(cleaned) < len(text):
        repaired["control characters"] += 1
    return cleaned


def beginning(text: str, max_bytes: int) -> str:
    """Return the first ``max_bytes`` UTF-8 bytes of a text, cut at the last line end.

    A shorter text is returned whole; a first line that is longer than the limit is cut between two characters.
    """
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    cut = data[:max_bytes].decode(errors="ignore")
    end = cut.rfind("\n") + 1
    return cut[:end] if end else cut


def printable_name(name: str) -> str:
    r"""Return a file name with each byte that is not UTF-8 written as ``\xff``.

    File systems and tar archives accept any bytes in a name, JSON does not.
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
