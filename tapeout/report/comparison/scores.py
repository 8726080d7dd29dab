"""Scores of two evaluation reports on the same test data: what moved, whether clearly, and which answers changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapeout.evals.section import Answered, Comparison
from tapeout.report.comparison.sides import Scores, Side
from tapeout.report.evaluation.changes import Change, change_table
from tapeout.report.evaluation.comparisons import compare, corrected
from tapeout.report.evaluation.inputs import TrainLog
from tapeout.report.evaluation.paired_tests import are_flags

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class ChangedAnswer:
    """A test unit that only one of two models has right.

    Attributes:
        measure: label of the measure that says so.
        digest: identifies the unit.
        group: its category, empty if it has none.
        before, after: the unit as both models answered it; None if the task does not tell.
        is_better: True if the model of the second report has it right.
    """

    measure: str
    digest: str
    group: str
    before: Answered | None
    after: Answered | None
    is_better: bool

    @property
    def asked(self) -> str:
        """The prompt or question; the digest if the task has none."""
        return self.after.asked if self.after is not None else self.digest


@dataclass(frozen=True)
class Overlap:
    """Test units of a measure: how many both models were tested on, and each of them.

    Attributes:
        task: name of the task.
        label, unit: those of the measure.
        common, before, after: numbers of units.
    """

    task: str
    label: str
    unit: str
    common: int
    before: int
    after: int

    @property
    def is_partial(self) -> bool:
        """True if one of the models was tested on further units."""
        return self.common < max(self.before, self.after)

    @property
    def text(self) -> str:
        """The numbers in words."""
        return f"{self.common} {self.unit} that both have, of {self.before} and {self.after}"


@dataclass(frozen=True)
class ModelComparison:
    """A model of one report compared with a model of another.

    Attributes:
        before, after: names of the models in their reports.
        is_shipped: True for the models that the reports judge.
        comparisons: values and paired changes by name of the measure; the two models are ``before`` and ``after``.
        lines: the changes of measures whose change is stated, in words; their p-values are corrected together.
        answers: answers that are right in one report only.
        left_out: why tasks, or measures of them, are not compared, by name.
        overlaps: test units by name of each measure that is compared.
        logs: training log of each, if both have one.
    """

    before: str
    after: str
    is_shipped: bool
    comparisons: Mapping[str, Comparison]
    lines: Sequence[Change]
    answers: Sequence[ChangedAnswer]
    left_out: Mapping[str, str]
    overlaps: Mapping[str, Overlap]
    logs: tuple[TrainLog, TrainLog] | None = None

    @property
    def is_same(self) -> bool:
        """True if no value of a stated measure differs."""
        stated = [one for one in self.comparisons.values() if one.measure.change is not None]
        return all(change.value == 0 for one in stated for change in one.changes.values())

    @property
    def partial(self) -> list[tuple[str, str]]:
        """Tasks of which the models share a part of the test data, each with the numbers of units in words.

        The measures of a task are named if their numbers differ.
        """
        found: dict[str, dict[str, list[Overlap]]] = {}
        for overlap in self.overlaps.values():
            found.setdefault(overlap.task, {}).setdefault(overlap.text, []).append(overlap)
        return [
            (task if len(groups) == 1 else f"{task}, {', '.join(one.label for one in group)}", text)
            for task, groups in found.items()
            for text, group in groups.items()
            if group[0].is_partial
        ]

    @property
    def title(self) -> str:
        """The model, or both if their names differ."""
        return self.after if self.before == self.after else f"{self.before} → {self.after}"

    @property
    def became_right(self) -> int:
        """Number of answers that only the second model has right."""
        return sum(answer.is_better for answer in self.answers)

    @property
    def moved(self) -> list[Change]:
        """Changes that are clear."""
        return [line for line in self.lines if line.outcome in ("good", "bad")]


def compare_models(before: Side, after: Side) -> list[ModelComparison]:
    """Compare the shipped models of two reports, then all others that have the same name in both.

    Raises:
        UnusableResult: a result is missing or was written by another version.
    """
    pairs = [] if before.shipped is None or after.shipped is None else [(before.shipped, after.shipped)]
    shipped = len(pairs)
    pairs += [(name, name) for name in after.models if name in before.models and (name, name) not in pairs]
    return [_compared(before, after, models, index < shipped) for index, models in enumerate(pairs)]


def _compared(before: Side, after: Side, models: tuple[str, str], is_shipped: bool) -> ModelComparison:
    comparisons: dict[str, Comparison] = {}
    answers: list[ChangedAnswer] = []
    left_out: dict[str, str] = {}
    overlaps: dict[str, Overlap] = {}
    for name in {**before.tasks, **after.tasks}:
        if reason := _incomparable(before, after, name):
            left_out[name] = reason
            continue
        old, new = before.scores(models[0], name), after.scores(models[1], name)
        tested = _overlaps(name, old, new)
        without = {measure: overlap for measure, overlap in tested.items() if not overlap.common}
        for overlap in without.values():
            key = name if len(without) == len(tested) else f"{name}, {overlap.label}"
            left_out[key] = f"{before.name} and {after.name} have no {overlap.unit} in common"
        overlaps |= (usable := {measure: tested[measure] for measure in tested if measure not in without})
        kept = {
            side: [(measure, units) for measure, units in scores.measured if measure.name in usable]
            for side, scores in ((BEFORE, old), (AFTER, new))
        }
        comparisons |= compare(kept, after.settings)
        answers += _changed_answers(old, new)
    logs = before.logs.get(models[0]), after.logs.get(models[1])
    comparisons = corrected(comparisons, after.settings.confidence)
    return ModelComparison(
        before=models[0],
        after=models[1],
        is_shipped=is_shipped,
        comparisons=comparisons,
        lines=change_table("", comparisons).lines,
        answers=answers,
        left_out=left_out,
        overlaps=overlaps,
        logs=None if logs[0] is None or logs[1] is None else (logs[0], logs[1]),
    )


def _incomparable(before: Side, after: Side, task: str) -> str:
    """Return why the scores of a task cannot be compared, or nothing."""
    for side in (before, after):
        if task not in side.tasks:
            return f"{side.name} does not have it"
    (old_module, _), (new_module, _) = before.tasks[task], after.tasks[task]
    if old_module != new_module:
        return f"it is {old_module} in {before.name} and {new_module} in {after.name}"
    old, new = before.options(task), after.options(task)
    differing = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
    return f"its options differ: {', '.join(differing)}" if differing else ""


def _overlaps(task: str, before: Scores, after: Scores) -> dict[str, Overlap]:
    """Return the numbers of test units of each measure that both have, by its name."""
    earlier = {measure.name: {unit.digest for unit in units} for measure, units in before.measured}
    found = {}
    for measure, units in after.measured:
        if measure.name in earlier:
            old, new = earlier[measure.name], {unit.digest for unit in units}
            counts = len(old & new), len(old), len(new)
            found[measure.name] = Overlap(task, measure.label, measure.unit, *counts)
    return found


def _changed_answers(
    before: Scores,
    after: Scores,
) -> list[ChangedAnswer]:
    """Return the units that are right in one result only, of fractions of right rows whose change is stated."""
    found = []
    earlier: dict[str, Any] = {measure.name: units for measure, units in before.measured}
    for measure, units in after.measured:
        old = {unit.digest: unit for unit in earlier.get(measure.name, ())}
        if measure.change is None or measure.interval != "wilson" or not are_flags([*old.values(), *units]):
            continue
        for unit in sorted(units, key=lambda unit: unit.digest):
            if unit.digest in old and old[unit.digest].numerator != unit.numerator:
                better = (unit.numerator > old[unit.digest].numerator) != measure.lower_is_better
                both = before.answered.get(unit.digest), after.answered.get(unit.digest)
                found.append(ChangedAnswer(measure.label, unit.digest, unit.stratum, *both, better))
    return found
