"""The form of ``evaluation/{model}.json``: written by the evaluation of a model, read by the report."""

from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tapeout.errors import TapeoutError

DIGITS = 4
"""Decimal digits of every float in the file: bits and nats to 0.0001, far below any difference of interest."""


class UnreadableEvaluation(TapeoutError):
    """A file is not the result of an evaluation."""


class Part(BaseModel):
    """A part of the result: unknown and missing fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DocumentScore(Part):
    """Bits that the model needs for one document, end mark included when the document is whole."""

    digest: str
    bytes: int
    tokens: int
    bits: float


class CorpusScore(Part):
    """Scores of the sampled documents of one corpus."""

    documents: list[DocumentScore]
    documents_in_corpus: int


class AnswerScore(Part):
    """Nats that the model needs for the expected answer and the end mark, given the prompt."""

    digest: str
    category: str
    tokens: int
    bytes: int
    nats: float


class Generation(Part):
    """What the model answered, word for word."""

    prompt: str
    generated: str
    expected: str


class Answer(Part):
    """How a generated answer compares with the expected one."""

    digest: str
    category: str
    source: str
    licence: str
    exact: bool
    rouge_l: float
    tokens: int
    finished: bool
    kept: Generation | None


class Evaluation(Part):
    """All measures of one model.

    Attributes:
        template: prompt template that was used.
        context: length of the model's context in tokens.
        expected_over_limit: rows whose expected answer is longer than what may be generated.
        left_out: rows whose prompt and expected answer do not fit into the context (never cut, F47).
    """

    template: str
    context: int
    vocabulary: int
    parameters: int
    rows_in_test: int
    left_out: int
    expected_over_limit: int
    domain: CorpusScore
    general: CorpusScore
    answer_scores: list[AnswerScore]
    answers: list[Answer]


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write the result as JSON with sorted keys."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(evaluation.model_dump(mode="json"), option=options))


def read_evaluation(path: Path) -> Evaluation:
    """Read a result.

    Raises:
        UnreadableEvaluation: the file is missing or not such a result.
    """
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UnreadableEvaluation(
            f"The evaluation {path} does not exist.", "Build it first: its name is that of its artifact."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnreadableEvaluation(
            f"{path} is not an evaluation: {field or 'the file'}: {first['msg']}.", "Build its artifact again."
        ) from error
