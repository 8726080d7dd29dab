"""Tables of changes: each line is a paired difference of two models, with its test in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tapeout.evals.section import Comparison, Difference, Outcome, Step
from tapeout.evals.wording import interval, number, outcome, p_value, percent, points, too_few

FEW_UNITS = 200
"""Below so many units the page states which differences of a measure cannot be seen."""


@dataclass(frozen=True)
class Change:
    """A line of a table of changes.

    Attributes:
        measure: its label.
        units: number of documents or rows, with their name.
        step: the two models, with an arrow.
        change, interval, p, corrected: as text; ``corrected`` is the p-value that decides.
        detectable: smallest difference that can be seen, as text.
        verdict: as text.
        outcome: class of its colour.
    """

    measure: str
    units: str
    step: str
    change: str
    interval: str
    p: str
    corrected: str
    detectable: str
    verdict: str
    outcome: Outcome


@dataclass(frozen=True)
class ChangeTable:
    """Differences between each two models in the measures of a task; p-values are corrected within the table.

    Attributes:
        title: title of the task's section.
        power: a clause for each measure of few units: which differences cannot be seen.
    """

    title: str
    lines: Sequence[Change]
    power: Sequence[str]


def change_table(title: str, comparisons: Mapping[str, Comparison]) -> ChangeTable:
    """Return the table of changes of a task; it has no line if no change of its measures is stated."""
    stated = [comparison for comparison in comparisons.values() if comparison.measure.change is not None]
    return ChangeTable(
        title,
        [_line(comparison, step) for comparison in stated for step in comparison.changes],
        [clause for comparison in stated for clause in _power(comparison)],
    )


def _is_relative(comparison: Comparison) -> bool:
    return comparison.measure.change == "relative" and bool(comparison.relative)


def _stated(comparison: Comparison) -> Mapping[Step, Difference]:
    return comparison.relative if _is_relative(comparison) else comparison.changes


def _line(comparison: Comparison, step: Step) -> Change:
    measure = comparison.measure
    change = _stated(comparison)[step]
    if _is_relative(comparison):
        text = [percent(value, signed=True) for value in (change.value, change.low, change.high)]
    elif measure.change == "relative":
        text = [number(change.value, signed=True), *interval(change, is_percent=False).split(" to ")]
    else:
        text = [points(change.value), points(change.low, unit=False), points(change.high)]
    reached = outcome(comparison, change)
    unclear = "too few to tell" if too_few(comparison) else "no clear difference"
    verdict = {"good": "better", "open": unclear, "bad": "worse"}[reached]
    return Change(
        measure=measure.label,
        units=f"{comparison.units} {measure.unit}",
        step=" → ".join(step),
        change=text[0],
        interval=f"{text[1]} to {text[2]}",
        p=p_value(change.p),
        corrected=p_value(change.corrected),
        detectable=_amount(comparison, change.detectable),
        verdict=verdict,
        outcome=reached,
    )


def _power(comparison: Comparison) -> list[str]:
    """Return which differences no two of the models show, if the measure has few units."""
    changes = _stated(comparison).values()
    known = [change.detectable for change in changes if change.detectable is not None]
    if comparison.units >= FEW_UNITS or not known:
        return []
    amount = _amount(comparison, min(known))
    return [f"with {comparison.units} {comparison.measure.unit} none under {amount} in “{comparison.measure.label}”"]


def _amount(comparison: Comparison, value: float | None) -> str:
    if value is None:
        return "–"
    if _is_relative(comparison):
        return percent(value)
    if comparison.measure.change == "relative":
        return number(value)
    return points(value).lstrip("+")
