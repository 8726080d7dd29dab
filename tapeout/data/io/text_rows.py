"""Corpus rows in JSON Lines: their text, and their own licences."""

import codecs
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tapeout.data.errors import BadRow
from tapeout.data.io.jsonl import parse_row

LICENCE_FIELDS = frozenset(["licence", "license", "licences", "licenses"])
"""Names of the licence of a row, in any case."""
JOIN = " AND "
ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
"""Escape of an ASCII character, with which a line may spell the same key in two ways, as it may any other key."""


def text_row(path: str, number: int, line: bytes, field: str, repaired: Counter[str]) -> tuple[str, str]:
    """Return the text and the licence of a line of JSON; the licence is empty if the row states none.

    Raises:
        BadRow: the line is not an object with a text, repeats the key of text or licence, or states its licence
            ambiguously.
    """
    if number == 1 and line.startswith(codecs.BOM_UTF8):
        line = line[len(codecs.BOM_UTF8) :]
        repaired["byte-order mark, utf-8"] += 1
    row = parse_row(Path(path), number, line, (field,))
    licences = [name for name in row if name.casefold() in LICENCE_FIELDS and name != field]
    spelled_in_one_way = field.isascii() and "/" not in field
    if (
        not spelled_in_one_way
        or ESCAPED_ASCII.search(line)
        or any(line.count(f'"{name}"'.encode()) > 1 for name in (field, *licences))
    ):
        try:
            json.loads(line, object_pairs_hook=lambda pairs: _distinct(path, number, pairs))
        except RecursionError as error:
            raise BadRow.of_line(Path(path), number, "nested too deeply") from error
    try:
        return row[field], joined_licence([row[name] for name in licences])
    except ValueError as error:
        raise BadRow.of_line(Path(path), number, str(error)) from error


def joined_licence(values: list[Any]) -> str:
    """Return the licence in the licence fields of a row; a list of licences is joined by ``AND``.

    Raises:
        ValueError: a field is neither a text nor a list of texts, or two fields differ.
    """
    licences = set()
    for value in values:
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str | None) for name in names):
            raise ValueError("the licence is neither a text nor a list of texts")
        if filled := sorted({name.strip() for name in names if name and name.strip()}):
            licences.add(JOIN.join(filled))
    if len(licences) > 1:
        raise ValueError("two fields state different licences")
    return next(iter(licences), "")


def is_allowed(licence: str, allowed: frozenset[str]) -> bool:
    """Return whether a licence, or each of several joined ones, is allowed; an empty set allows all."""
    return not allowed or licence in allowed or all(part in allowed for part in licence.split(JOIN))


def _distinct(path: str, number: int, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise BadRow.of_line(Path(path), number, "a key occurs twice")
    return mapping
