"""Test documents and instruction rows: reading them, and choosing the same sample for every model."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from tapeout.data.io.jsonl import read_jsonl
from tapeout.data.io.text import beginning
from tapeout.errors import TapeoutError


class EmptyTestSet(TapeoutError):
    """A test file holds no rows, so nothing can be measured on it."""


@dataclass(frozen=True)
class Document:
    """A row of ``corpus/*/test.jsonl``, as far as the evaluation reads it."""

    text: str
    digest: str


@dataclass(frozen=True)
class Question:
    """A row of ``instructions/splits/test.jsonl``."""

    input: str
    output: str
    category: str
    source: str
    licence: str
    digest: str


Row = TypeVar("Row", Document, Question)


@dataclass(frozen=True)
class Excerpt:
    """What is scored of a document.

    Attributes:
        text: the document or its beginning.
        digest: digest of the whole document.
        whole: whether ``text`` is all of it.
    """

    text: str
    digest: str
    whole: bool


def read_documents(path: Path) -> list[Document]:
    """Read test documents; one that repeats an earlier one's digest is left out.

    Raises:
        MalformedRow: a line is not JSON or lacks a field.
        EmptyTestSet: there is no document.
    """
    rows = read_jsonl(path, ("text", "digest"))
    return _distinct(path, [Document(row["text"], row["digest"]) for row in rows])


def read_questions(path: Path) -> list[Question]:
    """Read instruction rows; one that repeats an earlier one's digest is left out.

    Raises:
        MalformedRow: a line is not JSON or lacks a field.
        EmptyTestSet: there is no row.
    """
    fields = ("input", "output", "category", "source", "licence", "digest")
    return _distinct(path, [Question(*(row[field] for field in fields)) for row in read_jsonl(path, fields)])


def sample_documents(documents: Iterable[Document], max_bytes: int, max_document_bytes: int) -> list[Excerpt]:
    """Choose documents in the order of a hash of their digests until the next would go over ``max_bytes``.

    The order depends on nothing but the digests, so new documents do not move the others, and the second hash makes
    it independent of a split that was itself made by digest. Of long documents the ``beginning`` is taken.
    """
    chosen: list[Excerpt] = []
    taken = 0
    for document in sorted(documents, key=_order):
        text = beginning(document.text, max_document_bytes)
        size = len(text.encode())
        if chosen and taken + size > max_bytes:
            break
        chosen.append(Excerpt(text, document.digest, whole=text == document.text))
        taken += size
    return chosen


def sample_questions(questions: Iterable[Question], max_rows: int) -> list[Question]:
    """Choose up to ``max_rows`` rows, as evenly over the categories as their sizes allow, by a hash of the digests."""
    by_category: dict[str, list[Question]] = {}
    for question in sorted(questions, key=_order):
        by_category.setdefault(question.category, []).append(question)
    rounds = zip_longest(*(by_category[category] for category in sorted(by_category)))
    ranked = [question for turn in rounds for question in turn if question is not None]
    return ranked[:max_rows]


def _distinct(path: Path, rows: list[Row]) -> list[Row]:
    if not rows:
        raise EmptyTestSet(
            f"{path.name} holds no rows.", "Give the corpus more sources or its test split a larger share."
        )
    distinct: dict[str, Row] = {}
    for row in rows:
        distinct.setdefault(row.digest, row)
    return list(distinct.values())


def _order(row: Document | Question) -> str:
    return sha256(b"evaluation\n" + row.digest.encode()).hexdigest()
