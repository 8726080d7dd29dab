"""The gates: bounds on the data, what was measured, and whether a training may begin."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapeout.config.inspection import DataReport
from tapeout.errors import TapeoutError
from tapeout.inspection.drops import Drops
from tapeout.inspection.overlap import Row


@dataclass(frozen=True)
class Gate:
    """A bound and what was measured.

    Attributes:
        gate: key of the bound in ``data_report.gates``.
        where: the artifact that it is about.
        subject: what was measured, in words.
        count: rows that are concerned.
        of: all rows.
        bound: largest share that passes.
    """

    gate: str
    where: str
    subject: str
    count: int
    of: int
    bound: float

    @property
    def share(self) -> float:
        """What was measured."""
        return self.count / self.of if self.of else 0.0

    @property
    def passed(self) -> bool:
        """Whether it is within its bound."""
        return self.share <= self.bound

    def report(self) -> dict[str, Any]:
        """All of it as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "share": self.share, "passed": self.passed}


class GateFailed(TapeoutError):
    """The data is not as the configuration demands."""

    def __init__(self, failed: list[Mapping[str, Any]]) -> None:
        told = "; ".join(
            f"{each['gate']}: {each['subject']}: {each['count']} of {each['of']} ({100 * each['share']:.1f} %, "
            f"bound {100 * each['bound']:g} %)"
            for each in failed
        )
        super().__init__(
            f"The data is outside its bounds. {told}.",
            "Open results/data_report/report.html, which shows the rows; then correct the data, or the bounds under "
            "data_report.gates in the config (of single sets: contaminated_of, dropped_of).",
        )


class Unjudged(TapeoutError):
    """A training reads what no gate has looked at."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"No gate is about {', '.join(names)}, which a training reads.",
            "Build data_report anew with the configuration that the training has.",
        )


def stop(gates: Sequence[Mapping[str, Any]], trained: Sequence[str]) -> None:
    """Let the trainings begin, or not.

    Args:
        gates: as ``Gate.report`` writes them.
        trained: names of what a training reads.

    Raises:
        GateFailed: naming every bound that is broken.
        Unjudged: something that a training reads was not measured.
    """
    if missing := sorted(set(trained) - {gate["where"] for gate in gates}):
        raise Unjudged(missing)
    if failed := [gate for gate in gates if gate["where"] in trained and not gate["passed"]]:
        raise GateFailed(failed)


def judge(
    measures: Mapping[str, Mapping[str, Any]],
    held: Mapping[str, Mapping[str, list[Row]]],
    drops: Mapping[str, Drops],
    settings: DataReport,
) -> Iterator[Gate]:
    """Yield every gate.

    Args:
        measures: of each training set, by its name.
        held: rows of test sets that each training set holds, by both names.
        drops: account of each step.
        settings: the bounds.
    """
    gates = settings.gates
    for training, each in measures.items():
        for name, size in each["looked for"].items():
            rows = [row for row in held[training].get(name, []) if row.share >= settings.covered]
            bound = gates.contaminated_of.get(name, gates.contaminated)
            # of short rows only those count that were found, so that many of them make no share small
            looked_for = size["rows"] - size["too short to look for"] + sum(row.short for row in rows)
            yield Gate("contaminated", training, f"test rows of {name} in {training}", len(rows), looked_for, bound)
    for step, account in drops.items():
        bound = gates.dropped_of.get(step, gates.dropped)
        yield Gate("dropped", step, f"left out by {step}", account.lost, account.kept + account.lost, bound)
    for name, each in measures.items():
        train = each["sides"]["train"]
        left_out = train.get("left out", 0)
        fitting = train.get("rows", 0) - left_out
        if f"encoded/{name.partition('/')[2]}" not in drops or not name.startswith("instructions/"):
            # no step before the training leaves these out, so that no report counts them
            bound = gates.dropped_of.get(name, gates.dropped)
            yield Gate(
                "dropped", name, f"training rows of {name} that do not fit", left_out, train.get("rows", 0), bound
            )
        without = train.get("without target", 0)
        yield Gate("without_target", name, f"training rows of {name}", without, fitting, gates.without_target)
        leaked = each["leaks"]
        yield Gate("leaked", name, f"held-out rows of {name}", leaked["leaked"], leaked["held out"], gates.leaked)
