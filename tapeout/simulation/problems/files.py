"""Files of problem sets: texts, and problems from their values, with errors that name the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from tapeout.simulation.problems.problem import InvalidProblem, Problem


def read_text(path: Path) -> str:
    """Return the text of a file, with the line ends of Unix.

    Raises:
        InvalidProblem: the file is missing, or not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidProblem(f"{_short(path)} cannot be read: {error.strerror}.", "Add the file.") from error
    except UnicodeDecodeError as error:
        raise InvalidProblem(f"{_short(path)} is not UTF-8 text.", "Convert the file.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a JSON Lines file with their line numbers; blank lines are allowed.

    Raises:
        InvalidProblem: as ``read_text``, or a line is not a JSON object.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise invalid(path, f"line {number} is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise invalid(path, f"line {number} is not a JSON object")
        yield number, row


def invalid(path: Path, cause: str) -> InvalidProblem:
    """Return the error of a malformed file."""
    return InvalidProblem(f"{_short(path)}: {cause}.", "Correct the file; docs/rtl_problems.md describes the format.")


def problem_of(path: Path, **values: Any) -> Problem:
    """Return the problem that a file describes.

    Raises:
        InvalidProblem: a value is not valid; the first one is named.
    """
    try:
        return Problem(**values)
    except ValidationError as error:
        raise invalid(path, reason(error)) from error


def reason(error: ValidationError) -> str:
    """Return key and message of the first error of a validation."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{key}: {message}" if key else message


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])
