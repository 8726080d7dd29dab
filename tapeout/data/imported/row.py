"""A row as it is written: what every format is brought to."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
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

    def line(self, source: str, licence: str) -> dict[str, Any]:
        """The row as a JSON object."""
        signature = {"category": self.category, "source": source, "licence": licence, "group": self.group}
        return {**self.content, **signature, "digest": self.digest}
