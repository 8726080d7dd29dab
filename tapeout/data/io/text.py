"""Decode text from UTF-8 or legacy encodings, normalize it, and decide whether it is of use."""

import codecs
import re
from collections import Counter

from tapeout.config.corpus import Selection
from tapeout.data.io.encodings import SINGLE_BYTE, hz_text, legacy_text, undoubled
from tapeout.data.io.ngrams import unicode_form
from tapeout.data.io.recognition import reason_against

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters without a meaning in text. Tabs, line feeds and form feeds are not among them."""
BINARY_CONTROLS = bytes((*range(1, 8), *range(14, 27), *range(28, 32)))
ASCII_CONTROLS = bytes(code for code in range(128) if CONTROLS.match(chr(code)))


def decode(content: bytes, repaired: Counter[str]) -> tuple[str, str]:
    """Return the text of a file's bytes and an empty string, or an empty text and why it has none.

    A byte-order mark decides; then UTF-8, if the bytes are valid; then a legacy encoding, if one is certain.

    Args:
        content: the file's bytes.
        repaired: incremented by the name of the repair, if one was needed.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            content = content[len(mark) :]
            try:
                text = content.decode(encoding)
            except UnicodeDecodeError:
                if encoding == "utf-8":
                    break  # an editor has put the mark before a text in another encoding
                return "", "binary"
            repaired[f"byte-order mark, {encoding}"] += 1
            return text, ""
    if b"\0" in content:
        return _decode_wide(content, repaired)
    if b"\x1b$" not in content:  # these bytes switch to Japanese in ISO-2022-JP, which is also valid UTF-8
        try:
            text = content.decode()
        except UnicodeDecodeError:
            pass
        else:
            if b"~{" in content and (chinese := hz_text(content)) is not None:
                repaired["not UTF-8, read as HZ"] += 1
                return chinese, ""
            return text, ""
    return _decode_legacy(content, repaired)


def _decode_wide(content: bytes, repaired: Counter[str]) -> tuple[str, str]:
    """Decode UTF-16 and UTF-32 without a byte-order mark: mostly ASCII, and nothing that cannot be printed."""
    for encoding, unit in (("utf-16-le", 2), ("utf-16-be", 2), ("utf-32-le", 4), ("utf-32-be", 4)):
        if len(content) % unit:
            continue
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if 2 * sum(map(str.isascii, text)) >= len(text) and "".join(text.split()).isprintable():
            repaired[f"no byte-order mark, {encoding}"] += 1
            return text, ""
    return "", "binary"


def _decode_legacy(content: bytes, repaired: Counter[str]) -> tuple[str, str]:
    """Decode bytes that are not UTF-8; if that concerns some lines only, each line for itself."""
    legacy = legacy_text(content)
    if legacy is None or legacy[1] in SINGLE_BYTE:
        lines = content.split(b"\n")
        utf8 = [_is_utf8(line) for line in lines]
        if any(valid and not line.isascii() for line, valid in zip(lines, utf8, strict=True)):
            others = legacy_text(b"\n".join(line for line, valid in zip(lines, utf8, strict=True) if not valid))
            if others is not None:
                rest = iter(others[0].split("\n"))
                decoded = [line.decode() if valid else next(rest) for line, valid in zip(lines, utf8, strict=True)]
                legacy = "\n".join(decoded), f"{others[1]} in some lines"
    if legacy is None:
        controls = len(content) - len(content.translate(None, BINARY_CONTROLS))
        return "", "binary" if controls * 100 > len(content) else "unknown encoding"
    repaired[f"not UTF-8, read as {legacy[1]}"] += 1
    return legacy[0], ""


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def usable_text(
    path: str, content: bytes | str | None, selection: Selection, repaired: Counter[str]
) -> tuple[str, str]:
    """Return the clean text of a document and an empty string, or an empty text and why it is left out.

    All corpora are read with this function, so that a document is the same in each.

    Args:
        path: path in the source; its suffix states the language.
        content: bytes of a file, or text of a row; None if the row has none.
        selection: limits of documents.
        repaired: incremented by the name of each repair.
    """
    if content is None:
        return "", "no text"
    text, reason = decode(content, repaired) if isinstance(content, bytes) else (content, "")
    if reason:
        return "", reason
    if not text.isascii() and (single := undoubled(text)) != text:
        repaired["UTF-8 encoded twice"] += 1
        text = single
    text = clean_text(text, repaired)
    if len(text) > selection.max_bytes or len(text.encode()) > selection.max_bytes:
        reason = "too large"
    else:
        reason = reason_against(path, text, selection.netlists == "keep")
        if not reason and len(unicode_form(text).strip()) < selection.min_characters:
            reason = "too short"
    return ("" if reason else text), reason


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
    r"""Return a file name with each byte that is not UTF-8, and each character that cannot be printed, as an escape.

    File systems and archives accept any bytes in a name. JSON does not, and a line end or a control character would
    change what a terminal shows of a message.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
