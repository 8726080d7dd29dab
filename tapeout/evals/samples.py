"""Saved answers of a model, from which scores are computed without the model."""

from collections.abc import Sequence
from pathlib import Path

import orjson
from pydantic import ValidationError

from tapeout.errors import TapeoutError
from tapeout.evals.task import ModelFacts, Result, Sample


class UnusableSamples(TapeoutError):
    """A file does not hold the samples of a task."""


def write_samples(path: Path, facts: ModelFacts, samples: Sequence[Sample]) -> None:
    """Write the size of a model and its answers as JSON Lines with sorted keys."""
    option = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    rows: list[Result] = [facts, *samples]
    path.write_bytes(b"".join(orjson.dumps(row.model_dump(mode="json"), option=option) for row in rows))


def read_samples(path: Path) -> tuple[ModelFacts, list[Sample]]:
    """Read what ``write_samples`` has written.

    Raises:
        UnusableSamples: the file is missing or malformed.
    """
    try:
        first, *lines = path.read_bytes().splitlines()
        return ModelFacts.model_validate_json(first), [Sample.model_validate_json(line) for line in lines]
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UnusableSamples(f"{path} has no samples: {reason}.", "Build its artifact again.") from error
