"""The row to which every format brings its records."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an instruction data set.

    Attributes:
        content: what is trained on, as it is written: ``input`` and ``output``, or ``conversations``.
        category: kind of the row; the split keeps the proportions of categories.
        group: rows of one group share a split.
        question: text by which near-duplicates are found.
        digest: SHA-256 of the content as it was read; rows are ordered by it.
        source: name of the source.
    """

    content: dict[str, Any]
    category: str
    group: str
    question: str
    digest: str
    source: str

    def as_json(self, licence: str) -> dict[str, Any]:
        """Return the row as it is written."""
        signature = {"category": self.category, "source": self.source, "licence": licence, "group": self.group}
        return {**self.content, **signature, "digest": self.digest}
