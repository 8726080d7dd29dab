"""What each step left out, read off its report, whatever its form."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHOSEN = {"other kind", "excluded", "file of another name"}
"""Files that the configuration never asked for; they are shown, but no gate counts them."""


@dataclass(frozen=True)
class Drops:
    """Account of a step.

    Attributes:
        kept: rows or documents.
        dropped: others, by reason.
        changed: what was repaired or changed, by kind.
    """

    kept: int
    dropped: Counter[str]
    changed: Counter[str]

    @property
    def lost(self) -> int:
        """How much of what was asked for is left out."""
        return sum(count for reason, count in self.dropped.items() if reason not in CHOSEN)

    def __add__(self, other: "Drops") -> "Drops":
        return Drops(self.kept + other.kept, self.dropped + other.dropped, self.changed + other.changed)


def read_drops(step: str, report: Mapping[str, Any]) -> Drops:
    """The account in a step's report.json.

    Args:
        step: name of the artifact, which tells the form.
        report: its content.
    """
    kind, _, rest = step.partition("/")
    if kind == "corpus":
        parts = report["sources"].values()
        return Drops(
            report["train"]["documents"] + report["test"]["documents"],
            sum((Counter(part["dropped"]) for part in parts), Counter[str]()),
            sum((Counter(part["repaired"]) for part in parts), Counter[str]()),
        )
    if kind == "instructions":
        return Drops(sum(report["rows"].values()), _counts(report["dropped"]), Counter(report["changed"]))
    if kind == "encoded":
        sides = report.values()
        return Drops(
            sum(side.get("rows", 0) for side in sides),
            sum((_counts(side["dropped"]) for side in sides), Counter[str]()),
            Counter({"shortened": sum(side.get("shortened", 0) for side in sides)}),
        )
    if rest.startswith("documents/"):
        return Drops(report["kept"].get("documents", 0), Counter(report["dropped"]), Counter(report["repaired"]))
    if rest.startswith("shards/"):
        return Drops(
            sum(each["documents"] for each in report["kept"].values()),
            sum(map(Counter, report["dropped"].values()), Counter[str]()),
            sum(map(Counter, report["scrubbed"].values()), Counter[str]()),
        )
    near = report["near duplicates"]
    return Drops(report["documents"] - near, Counter({"near duplicate": near}), Counter())


def _counts(dropped: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    return Counter({reason: each["count"] for reason, each in dropped.items()})
