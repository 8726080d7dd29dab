"""A row as it is written: what every format is brought to."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from tapeout.data.instructions.question_clusters import Keys, keys_of


class Splittable(Protocol):
    """What the split wants to know of a row."""

    @property
    def category(self) -> str:
        """What kind of row it is."""

    @property
    def group(self) -> str:
        """Rows of one group lie on one side of the split."""

    @property
    def digest(self) -> str:
        """SHA-256 of the content as it was read; it orders the rows."""

    @property
    def question(self) -> str:
        """The text by which near-duplicates are found."""

    @property
    def place(self) -> int:
        """Where the answer stands, by which alone rows of one digest and one group may differ; 0 if nowhere."""

    @property
    def keys(self) -> Keys:
        """The keys of the question; see ``tapeout.data.instructions.question_clusters``."""


@dataclass(slots=True)
class Row:
    """One row of an imported source.

    Attributes:
        content: what is trained on: input and output, or conversations; written as it is.
        category: what kind of row it is.
        group: rows of one group lie on one side of the split.
        question: the text by which near-duplicates are found.
        digest: SHA-256 of the content as it was read; it orders the rows.
    """

    content: dict[str, Any]
    category: str
    group: str
    question: str
    digest: str

    @property
    def place(self) -> int:
        """Where the answer stands; 0 if nowhere."""
        return (self.content.get("answer") or [0])[0]

    @property
    def keys(self) -> Keys:
        """The keys of the question."""
        return keys_of(self.question)

    def line(self, source: str, licence: str) -> dict[str, Any]:
        """The row as a JSON object."""
        signature = {"category": self.category, "source": source, "licence": licence, "group": self.group}
        return {**self.content, **signature, "digest": self.digest}


class Ready(NamedTuple):
    """A row of which the line is written already, somewhere.

    Attributes:
        category: what kind of row it is.
        group: rows of one group lie on one side of the split.
        digest: SHA-256 of the content as it was read.
        asked: JSON of the question, without quotation marks.
        keys: of the question.
        place: where the answer stands; 0 if nowhere.
        start: where the line begins.
        end: behind its last byte.
    """

    category: str
    group: str
    digest: str
    asked: bytes
    keys: Keys
    place: int
    start: int
    end: int

    @property
    def question(self) -> str:
        """The text by which near-duplicates are found."""
        return str(orjson.loads(b'"%b"' % self.asked))
