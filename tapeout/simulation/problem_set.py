"""Files of a problem set, which do not depend on the code that judges answers."""

from collections.abc import Iterable
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tapeout.errors import TapeoutError
from tapeout.simulation.problems.problem import Problem


class UnusableFile(TapeoutError):
    """A file is not what the step that reads problems has written."""


class Form(BaseModel):
    """Base class of what is written about a problem set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckedProblem(Form):
    """A problem after the check.

    Attributes:
        digest: digest of the problem.
        unusable: why no answer can be judged by it; empty if it is usable.
        mutants: number of its mutants that were judged.
        survivors: mutants that the test bench does not notice.
    """

    name: str
    digest: str
    unusable: str
    mutants: int
    survivors: tuple[str, ...]


def read_lines(path: Path) -> list[Problem]:
    """Read the problems of a set, as ``write_lines`` writes them.

    Raises:
        UnusableFile: the file is missing or not such a set.
    """
    try:
        return [Problem.model_validate_json(line) for line in path.read_bytes().splitlines()]
    except (OSError, ValidationError) as error:
        raise unusable_file(path, error) from error


def write_lines(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write models as JSON Lines with sorted keys."""
    option = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(b"".join(orjson.dumps(row.model_dump(mode="json"), option=option) for row in rows))


def unusable_file(path: Path, error: Exception) -> UnusableFile:
    """Return the error about a file that cannot be read."""
    return UnusableFile(f"{path} cannot be used: {str(error).splitlines()[0]}.", "Build its artifact again.")
