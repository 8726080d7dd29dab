"""JSON Lines: one canonical form to write, one strict way to read.

Written lines have sorted keys and UTF-8 text, so that equal rows are equal bytes. Reading never skips a line silently:
a malformed one raises an error with the file and the line number.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tapeout.data.errors import BadRow, NotEnoughData


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write ``rows`` as canonical lines and return their number.

    The lines go to a temporary file that is renamed to ``path`` at the end: if producing a row fails, no incomplete
    file is left.
    """
    count = 0
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as stream:
            for row in rows:
                stream.write(orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
                count += 1
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def read_jsonl(path: Path, fields: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file; blank lines at the very end are allowed.

    Args:
        path: the file.
        fields: fields that each row must have, with a string as value.

    Raises:
        BadRow: a line is not a JSON object, or lacks one of ``fields``.
    """
    blank = None
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                blank = blank or number
                continue
            if blank is not None:
                raise BadRow.of_line(path, blank, "the line is empty")
            yield parse_row(path, number, line, fields)


def parse_row(path: Path, number: int, line: bytes, fields: tuple[str, ...]) -> dict[str, Any]:
    """Parse one line; see ``read_jsonl``."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRow.of_line(path, number, f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise BadRow.of_line(path, number, f"expected a JSON object, not {type(row).__name__}")
    for name in fields:
        if not isinstance(row.get(name), str):
            raise BadRow.of_line(path, number, f"field {name!r} is missing or not a string")
    return row


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a small canonical JSON file for human readers: sorted keys, indented."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(value, option=options))


def read_texts(path: Path) -> list[str]:
    """Return the texts of a JSONL corpus, in file order.

    Raises:
        BadRow: a line is not a JSON object with a string ``text``.
        NotEnoughData: there is no text.
    """
    return [row["text"] for row in _corpus_rows(path, ("text",))]


def read_texts_by_source(path: Path) -> dict[str, list[str]]:
    """Return the texts of a JSONL corpus by source, sorted by its name, and in file order inside a source.

    Raises:
        BadRow: a line is not a JSON object with the strings ``text`` and ``source``.
        NotEnoughData: there is no text.
    """
    texts: dict[str, list[str]] = {}
    for row in _corpus_rows(path, ("text", "source")):
        texts.setdefault(row["source"], []).append(row["text"])
    return dict(sorted(texts.items()))


def _corpus_rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = list(read_jsonl(path, fields))
    if not any(row["text"] for row in rows):
        raise NotEnoughData(f"{path.name} has no text.", "See report.json beside it for what was dropped and why.")
    return rows
