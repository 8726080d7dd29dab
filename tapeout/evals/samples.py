"""Saved answers of a model, from which scores are computed without the model."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tapeout.errors import TapeoutError
from tapeout.evals.task import ModelFacts, Sample
from tapeout.simulation.problem_set import write_lines


class UnusableSamples(TapeoutError):
    """A file does not hold the samples of a task."""


def write_samples(path: Path, facts: ModelFacts, samples: Sequence[Sample]) -> None:
    """Write the size of a model and its answers as JSON Lines with sorted keys."""
    write_lines(path, [facts, *samples])


def read_parts(paths: Sequence[Path]) -> tuple[ModelFacts, list[Sample]]:
    """Read the answers of one model to all parts, as ``read_samples`` does.

    Raises:
        UnusableSamples: a file is missing or malformed, or the answers are from different models.
    """
    parts = [read_samples(path) for path in paths]
    facts = parts[0][0]
    if any(found != facts for found, _ in parts):
        raise UnusableSamples("The parts of the samples are from different models.", "Build their artifacts again.")
    return facts, [sample for _, samples in parts for sample in samples]


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
