"""What a row of a corpus says: its text, and the licences that it names itself."""

import codecs
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tapeout.data.io.jsonl import MalformedRow, parse_row

LICENCE = ("licence", "license")


def text_row(path: str, number: int, line: bytes, field: str, repaired: Counter[str]) -> tuple[str, str]:
    """Text and licence of a line of JSON; the licence is empty if the row names none.

    Raises:
        MalformedRow: it is no object with a text, has the text or the licence twice, or names its licence unclearly.
    """
    if number == 1 and line.startswith(codecs.BOM_UTF8):
        line = line[len(codecs.BOM_UTF8) :]
        repaired["byte-order mark, utf-8"] += 1
    row = parse_row(Path(path), number, line, (field,))
    if any(line.count(f'"{name}"'.encode()) > 1 for name in (field, *LICENCE)):
        json.loads(line, object_pairs_hook=lambda pairs: _distinct(path, number, pairs))
    try:
        return row[field], licence_of([row.get(name) for name in LICENCE])
    except ValueError as error:
        raise MalformedRow(Path(path), number, str(error)) from error


def licence_of(values: list[Any]) -> str:
    """The licence in some fields: that of the one that is filled, several of a list joined by ``AND``.

    Raises:
        ValueError: a field is no text and no list of texts, or two say different things.
    """
    found = set()
    for value in values:
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str | None) for name in names):
            raise ValueError("the licence is neither a text nor a list of texts")
        if filled := sorted({name for name in names if name and name.strip()}):
            found.add(JOIN.join(filled))
    if len(found) > 1:
        raise ValueError("licence and license say different things")
    return next(iter(found), "")


JOIN = " AND "


def is_allowed(licence: str, allowed: frozenset[str]) -> bool:
    """Whether a licence, or each of several that are joined, is one of those that are allowed; none named: all are."""
    return not allowed or licence in allowed or all(part in allowed for part in licence.split(JOIN))


def _distinct(path: str, number: int, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise MalformedRow(Path(path), number, "a key stands twice")
    return found
