"""Clear gains, clear losses and suggestions, from the corrected tests of the shipped and the base model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tapeout.evals.advice import change_in_words
from tapeout.evals.section import Comparison, Section, Step, Suggestion
from tapeout.evals.wording import MIN_UNITS, outcome
from tapeout.report.evaluation.comparisons import ROUNDING
from tapeout.report.evaluation.paired_tests import holm


@dataclass(frozen=True)
class Finding:
    """A clear change of a measure.

    Attributes:
        measure: name of the measure.
        label: its name on the page, with the units.
        change: as text.
        parts: categories or sources in which it changed clearly in the same direction, each with its change.
        too_few: categories or sources with too few units to tell, each with their number.
    """

    measure: str
    label: str
    change: str
    parts: tuple[str, ...]
    too_few: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """Clear gains and losses of the shipped model, and what to change."""

    better: tuple[Finding, ...]
    worse: tuple[Finding, ...]
    suggestions: tuple[Suggestion, ...]


def find(
    measured: Iterable[Mapping[str, Comparison]], sections: Iterable[Section], step: Step | None, confidence: float
) -> Findings:
    """Return the findings of all tasks.

    Measures are those of the tables of changes, with their corrected p-values. Categories are in no table, so their
    p-values are corrected here, for all categories of their measure (Holm).

    Args:
        measured: comparisons of each task by the name of the measure.
        sections: what the tasks suggest.
        step: base and shipped model; None if one of them is not evaluated.
        confidence: one minus the level of the tests.
    """
    found: dict[Literal["good", "bad"], list[Finding]] = {"good": [], "bad": []}
    for comparisons in measured if step is not None else ():
        assert step is not None, "see the line above"
        for name, comparison in comparisons.items():
            if comparison.measure.change is None:
                continue
            parts, few = _parts(comparisons, name, step, confidence), _too_few(comparisons, name)
            whole = outcome(comparison, comparison.changes[step])
            for direction, listed in found.items():
                if whole == direction or parts[direction]:
                    clear = "" if whole == direction else ", not clear"
                    label = f"{comparison.measure.label} ({comparison.units} {comparison.measure.unit})"
                    change = f"{change_in_words(comparison, step)}{clear}"
                    listed.append(Finding(name, label, change, tuple(parts[direction]), few))
    suggestions = [one for section in sections for one in section.suggestions]
    return Findings(tuple(found["good"]), tuple(found["bad"]), tuple(suggestions))


def _all_parts(comparisons: Mapping[str, Comparison], name: str) -> dict[str, Comparison]:
    """Return the categories or sources of a measure, by their name in words."""
    begin = f"{name}."
    return {
        key.removeprefix(begin).replace("_", " "): comparison
        for key, comparison in comparisons.items()
        if key.startswith(begin) and comparison.measure.change is None
    }


def _too_few(comparisons: Mapping[str, Comparison], name: str) -> tuple[str, ...]:
    """Return the parts of a measure that have too few units to tell, each with their number."""
    return tuple(
        f"{label}: {part.units} {part.measure.unit}, too few to tell"
        for label, part in _all_parts(comparisons, name).items()
        if part.units < MIN_UNITS
    )


def _parts(
    comparisons: Mapping[str, Comparison], name: str, step: Step, confidence: float
) -> dict[Literal["good", "bad"], list[str]]:
    """Return the parts of a measure that changed clearly, by direction."""
    parts = {label: part for label, part in _all_parts(comparisons, name).items() if part.units >= MIN_UNITS}
    levels = holm([part.changes[step].p for part in parts.values()])
    clear: dict[Literal["good", "bad"], list[str]] = {"good": [], "bad": []}
    for (label, part), level in zip(parts.items(), levels, strict=True):
        if level <= 1 - confidence + ROUNDING:
            is_gain = (part.changes[step].value < 0) == part.measure.lower_is_better
            clear["good" if is_gain else "bad"].append(f"{label} {change_in_words(part, step)}")
    return clear
