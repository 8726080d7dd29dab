"""JSON Lines: one canonical way to write, one strict way to read.

Written lines have sorted keys and UTF-8 text, so that equal rows are equal bytes. Reading never skips a line in
silence (fault F28): a bad one is a named error with the file and the number of the line.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tapeout.errors import TapeoutError


class MalformedRow(TapeoutError):
    """A line of a JSONL file is not a JSON object with the fields that it needs."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}, line {line}: {reason}.", "Correct the line or remove it; nothing was skipped.")
        self.line = line


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write ``rows``, one canonical line each; return their number.

    The lines go to a file beside ``path`` that gets its name when all are written: if making a row fails, there is no
    half-written file.
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
        fields: names of fields that each row must have, with a string as value.

    Raises:
        MalformedRow: a line is no JSON object, or lacks one of ``fields``.
    """
    blank = None
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                blank = blank or number
                continue
            if blank is not None:
                raise MalformedRow(path, blank, "the line is empty")
            yield parse_row(path, number, line, fields)


def parse_row(path: Path, number: int, line: bytes, fields: tuple[str, ...]) -> dict[str, Any]:
    """Parse one line; see ``read_jsonl``."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise MalformedRow(path, number, f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise MalformedRow(path, number, f"a JSON object is needed, not {type(row).__name__}")
    for name in fields:
        if not isinstance(row.get(name), str):
            raise MalformedRow(path, number, f"field {name!r} is missing or not a string")
    return row


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a small canonical JSON file for people: sorted keys, indented."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(value, option=options))
