"""Text out of bytes that may be in any of the encodings that old sources are in; every repair is counted."""

import codecs
import re
from collections import Counter

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]")
"""What means nothing in a text. Tabs, line feeds and form feeds stay."""
ASCII_CONTROLS = bytes(code for code in range(128) if CONTROLS.match(chr(code)))


def decode_bytes(content: bytes, repaired: Counter[str]) -> str | None:
    """Text of a file's bytes, or None for what is no text.

    A byte-order mark decides; then UTF-8, if the bytes are valid; then Windows-1252, in which most old comments with
    accents were written; then Latin-1, in which every byte has a meaning.
    """
    for mark, name in MARKS:
        if content.startswith(mark):
            try:
                text = content[len(mark) :].decode(name)
            except UnicodeDecodeError:
                return None
            repaired[f"byte-order mark, {name}"] += 1
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


def tidy(text: str, repaired: Counter[str]) -> str:
    """The text with Unix line ends and without control characters."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        repaired["line ends"] += 1
    if text.isascii():
        # the same a few times faster
        cleaned = text.encode("ascii").translate(None, ASCII_CONTROLS).decode("ascii")
    else:
        cleaned = CONTROLS.sub("", text)
    if len(cleaned) < len(text):
        repaired["control characters"] += 1
    return cleaned
