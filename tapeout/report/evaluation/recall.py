"""Recall of retrieval in the report: the form of ``retrieval/recall.json``, and the lines of its tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from tapeout.evals.wording import number, percent, points
from tapeout.report.evaluation.inputs import Lenient

MRR = "mrr"
LABELS = {
    "bm25": "BM25",
    "embedder": "embedding model, before fine-tuning",
    "embedder_tuned": "embedding model, after fine-tuning",
}


class Interval(Lenient):
    """Value with its confidence interval."""

    value: float
    low: float
    high: float


class Change(Lenient):
    """Paired differences of all measures between two systems."""

    before: str
    after: str
    measures: dict[str, Interval]


class RecallReport(Lenient):
    """``retrieval/recall.json``: measures by system, in the order of ``at`` and then the mean reciprocal rank."""

    at: list[int] = Field(min_length=1)
    questions: int
    passages: int
    systems: dict[str, dict[str, Interval]]
    changes: list[Change]

    @property
    def measures(self) -> list[str]:
        """Names of the measures, in the order of the table."""
        return [*(f"recall@{k}" for k in self.at), MRR]

    @property
    def headings(self) -> list[str]:
        """Headings of the columns."""
        return [*(f"Recall@{k}" for k in self.at), "Mean reciprocal rank"]

    @property
    def values(self) -> "Iterator[tuple[str, list[Cell]]]":
        """Label and cells of each system, BM25 first."""
        for name in sorted(self.systems, key=list(LABELS).index):
            yield LABELS[name], [_cell(measure, self.systems[name][measure]) for measure in self.measures]

    @property
    def differences(self) -> "Iterator[tuple[str, list[Cell]]]":
        """Label and cells of each change."""
        for change in self.changes:
            label = f"{LABELS[change.before]} → {LABELS[change.after]}"
            yield label, [_cell(measure, change.measures[measure], signed=True) for measure in self.measures]

    def as_json(self) -> dict[str, Any]:
        """Return the numbers for report.json."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class Cell:
    """Value and interval as text."""

    value: str
    interval: str


def _cell(measure: str, found: Interval, signed: bool = False) -> Cell:
    if measure == MRR:
        low, high = (number(bound, signed=signed) for bound in (found.low, found.high))
        return Cell(number(found.value, signed=signed), f"{low} to {high}")
    form = points if signed else percent
    low, high = ((points(bound, unit=False) if signed else number(100 * bound, 1)) for bound in (found.low, found.high))
    return Cell(form(found.value), f"{low} to {high}")
