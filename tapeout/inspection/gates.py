"""Gates: limits on the data that decide whether training may start."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapeout.config.inspection import DataReport
from tapeout.errors import TapeoutError
from tapeout.inspection.data_summary import DataSummary


@dataclass(frozen=True)
class Gate:
    """A limit and the measured value.

    Attributes:
        gate: key of the limit in ``data_report.gates``.
        artifact: the set or step that is measured.
        subject: description of what is counted.
        count: rows that count against the limit.
        total: all rows.
        limit: largest fraction that passes.
    """

    gate: str
    artifact: str
    subject: str
    count: int
    total: int
    limit: float

    @property
    def fraction(self) -> float:
        """Measured value."""
        return self.count / self.total if self.total else 0.0

    @property
    def measured(self) -> bool:
        """True if there was anything to count."""
        return self.total > 0

    @property
    def passed(self) -> bool:
        """True if the value is within the limit; a gate that measured nothing stops nothing."""
        return self.fraction <= self.limit

    def as_json(self) -> dict[str, Any]:
        """Return all fields, the value, whether there was one, and whether it passes."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "fraction": self.fraction, "measured": self.measured, "passed": self.passed}


class GateFailed(TapeoutError):
    """The data exceeds a limit, or data that a training run reads was not measured."""


def check(gates: Sequence[Mapping[str, Any]], trained: Sequence[str]) -> None:
    """Raise an error unless training may start.

    Raises:
        GateFailed: naming each exceeded limit, or what was not measured.
    """
    if missing := sorted(set(trained) - {gate["artifact"] for gate in gates}):
        raise GateFailed(
            f"The data report has no gate for {', '.join(missing)}, which a training run reads.",
            "Build data_report again with the configuration of the training run.",
        )
    if failed := [gate for gate in gates if gate["artifact"] in trained and not gate["passed"]]:
        values = "; ".join(
            f"{gate['gate']}: {gate['subject']}: {gate['count']} of {gate['total']} ({100 * gate['fraction']:.1f} %, "
            f"limit {100 * gate['limit']:g} %)"
            for gate in failed
        )
        raise GateFailed(
            f"The data exceeds its limits. {values}.",
            "Open results/data_report/report.html, which shows the rows; then correct the data, or the limits under "
            "data_report.gates in the config (for single sets: contaminated_of, dropped_of).",
        )


def measure_gates(summary: DataSummary, settings: DataReport) -> Iterator[Gate]:
    """Yield every gate with its measured value."""
    gates = settings.gates
    for training, measures in summary.measures.items():
        for name, size in measures["test_sets"].items():
            rows = [row for row in summary.overlaps[training].get(name, []) if row.fraction >= settings.min_overlap]
            # of short rows only those count that overlap, so that many of them do not make the fraction small
            total = size["rows"] - size["too_short"] + sum(row.short for row in rows)
            limit = gates.contaminated_of.get(name, gates.contaminated)
            kind = "rows" if name.endswith("/validation") else "test rows"
            yield Gate("contaminated", training, f"{kind} of {name} in {training}", len(rows), total, limit)
    for step, counts in summary.steps.items():
        limit = gates.dropped_of.get(step, gates.dropped)
        yield Gate("dropped", step, f"dropped by {step}", counts.lost, counts.kept + counts.lost, limit)
    for name, measures in summary.measures.items():
        train, leaks = measures["splits"]["train"], measures["leaks"]
        encoded = train.get("rows", 0) - train.get("not_encoded", 0)
        without = train.get("without_loss", 0)
        yield Gate(
            "without_loss", name, f"training rows of {name} without a loss", without, encoded, gates.without_loss
        )
        yield Gate("leaked", name, f"held-out rows of {name}", leaks["leaked"], leaks["held_out"], gates.leaked)
