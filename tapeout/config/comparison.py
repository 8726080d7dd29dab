"""Tolerances of the level "metrics": how much two results may differ and still count as equal."""

from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field

from tapeout.config.section import Section

DERIVED = (
    "*.computed_from.*",
    "artifacts.*.digest",
    "artifacts.*.size",
    "changes.*.change",
    "changes.*.interval",
    "subject.action",
    "summary.*.sentence",
)


class Bound(Section):
    """Maximum difference of two numbers; the larger of the two limits counts."""

    absolute: float = Field(0.0, ge=0, description="In the unit of the number.")
    relative: float = Field(0.0, ge=0, description="Fraction of the larger magnitude of the two.")

    def holds(self, old: float, new: float) -> bool:
        """Return whether two numbers differ by at most the bound."""
        return abs(old - new) <= max(self.absolute, self.relative * max(abs(old), abs(new)))


class Bounds(Section):
    """Tolerances of the level "metrics", for results that were rebuilt on another machine. No rule's parameters.

    A number in a JSON file is addressed by its dotted name, with list indices as numbers: ``answers.3.rouge_l``.
    """

    floats: Bound = Field(
        Bound(relative=0.001),
        description="For numbers that are not integers and match no pattern in `named`; integers must be equal.",
    )
    named: dict[str, Bound] = Field(
        {},
        description="Bounds by a pattern of dotted names with * for any text, e.g. 'steps.*.loss'; the first match "
        "counts.",
    )
    ignored: tuple[str, ...] = Field(
        DERIVED,
        description="Patterns of values that are ignored, because they are derived from values that are compared: "
        "digests of inputs, numbers as text.",
    )
    tensors: float | None = Field(
        None,
        ge=0,
        description="Maximum difference of an element, relative to the largest magnitude in its tensor; null: tensors "
        "must be bitwise equal.",
    )

    def agree(self, name: str, old: Any, new: Any) -> bool:
        """Return whether two different values of a JSON file count as equal at the level "metrics"."""
        if any(fnmatchcase(name, pattern) for pattern in self.ignored):
            return type(old) is type(new)
        if not (_number(old) and _number(new)):
            return False
        for pattern, bound in self.named.items():
            if fnmatchcase(name, pattern):
                return bound.holds(old, new)
        return not (isinstance(old, int) and isinstance(new, int)) and self.floats.holds(old, new)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
