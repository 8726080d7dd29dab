"""Contamination in the report: how many units of a measure the training text contains, and the values without them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tapeout.config.report import PairedStatistics
from tapeout.evals.section import Comparison, Measure, Unit, Value
from tapeout.evals.wording import MIN_UNITS
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.inputs import Lenient


class Match(Lenient):
    """The training row that shares most with a test unit."""

    set: str
    digest: str
    source: str
    location: str


class UnitShare(Lenient):
    """Share of a unit's n-grams that the training text has; ``short`` units match only equal rows."""

    share: float
    short: bool
    best: Match | None


class Contamination(Lenient):
    """``contamination/<task>.json``."""

    ngram_words: int
    min_overlap: float
    training: list[str]
    units: dict[str, UnitShare]

    def of(self, digest: str) -> UnitShare | None:
        """Return what was found for a unit; a digest may have a suffix, such as the number of a turn."""
        return self.units.get(digest) or self.units.get(digest.partition("/")[0])

    def contains(self, digest: str) -> bool:
        """Return whether the training text contains a unit."""
        found = self.of(digest)
        return found is not None and found.share >= self.min_overlap

    @property
    def contaminated(self) -> dict[str, UnitShare]:
        """Units that the training text contains, the largest share first."""
        found = {digest: unit for digest, unit in self.units.items() if unit.share >= self.min_overlap}
        return dict(sorted(found.items(), key=lambda entry: (-entry[1].share, entry[0])))

    def as_json(self) -> dict[str, Any]:
        """Return the counts and the contaminated units for report.json."""
        return {
            "ngram_words": self.ngram_words,
            "min_overlap": self.min_overlap,
            "training": self.training,
            "units": len(self.units),
            "too_short": sum(unit.short for unit in self.units.values()),
            "contaminated": [
                {"digest": digest, **unit.model_dump(mode="json", include={"share", "best"})}
                for digest, unit in self.contaminated.items()
            ],
        }


def base_digests(digests: Iterable[str]) -> set[str]:
    """Return digests of documents or rows without suffixes, such as the number of a turn."""
    return {digest.partition("/")[0] for digest in digests}


@dataclass(frozen=True)
class Scored:
    """Test units that any measure scores and that were searched for, and how many of them are contaminated."""

    searched: int
    contaminated: int


@dataclass(frozen=True)
class Clean:
    """A measure on the units that the training text does not contain.

    Attributes:
        units: digests of the units of the measure that were searched for in the training text.
        bad: those of them that it contains.
        values: value for each model on the others; those of all units if none is contaminated, none if all are.
    """

    units: frozenset[str]
    bad: frozenset[str]
    values: Mapping[str, Value]

    @property
    def searched(self) -> int:
        """Number of the units that were searched for."""
        return len(self.units)

    @property
    def contaminated(self) -> int:
        """Number of the units that the training text contains."""
        return len(self.bad)

    @property
    def share(self) -> float | None:
        """Fraction of the searched units that are contaminated."""
        return self.contaminated / self.searched if self.searched else None

    @property
    def is_doubtful(self) -> bool:
        """True if fewer units are clean than a verdict needs, or than are contaminated, whose gain may be memory."""
        return self.contaminated > 0 and self.searched - self.contaminated < max(MIN_UNITS, self.contaminated)


def clean_values(
    measured: Mapping[str, Sequence[tuple[Measure, Sequence[Unit]]]],
    comparisons: Mapping[str, Comparison],
    contamination: Contamination,
    settings: PairedStatistics,
) -> dict[str, Clean]:
    """Return each measure that all models have, without its strata, on the clean units.

    Args:
        measured: what ``Task.measure`` returned for each model.
        comparisons: the comparisons of these.
        contamination: what the training text contains.
        settings: settings of the bootstrap.
    """
    named = [{measure.name: (measure, units) for measure, units in entries} for entries in measured.values()]
    results = {}
    for name in (name for name in named[0] if name in comparisons):
        measure = named[0][name][0]
        units = {model: entries[name][1] for model, entries in zip(measured, named, strict=True)}
        shared = set.intersection(*({unit.digest for unit in scores} for scores in units.values()))
        searched = {digest for digest in shared if contamination.of(digest) is not None}
        bad = {digest for digest in searched if contamination.contains(digest)}
        values: Mapping[str, Value] = comparisons[name].values
        if bad:
            rest = {
                model: [(replace(measure, by_stratum=False), [unit for unit in scores if unit.digest not in bad])]
                for model, scores in units.items()
            }
            values = compare(rest, settings, lambda _: ())[name].values if shared - bad else {}
        results[name] = Clean(frozenset(searched), frozenset(bad), values)
    return results
