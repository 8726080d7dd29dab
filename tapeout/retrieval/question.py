"""A question whose right passages are known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from tapeout.data.instructions.row import digest_of
from tapeout.data.io.jsonl import read_jsonl


class Question(NamedTuple):
    """Question whose right passages are known.

    Attributes:
        question: the question, with the name of the module.
        category: category of the row.
        source: core that it is about.
        module: name of the module in lower case.
        passages: ids of the right passages.
    """

    question: str
    category: str
    source: str
    module: str
    passages: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the question in hexadecimal digits, which orders questions."""
        return digest_of(self.question)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the question of a row of a file."""
        return cls(**{**{name: row[name] for name in cls._fields}, "passages": tuple(row["passages"])})


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a file, in its order."""
    return [Question.of_row(row) for row in read_jsonl(path, ("question", "category", "source", "module"))]
