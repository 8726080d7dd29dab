"""Comparison of the variants of a sweep: ``report.json`` and ``report.html``.

Each measure names its best variant. The others are compared with that one on the same test units, so that the page
says which differences the test data shows, and which it does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tapeout.combinations import split
from tapeout.config.report import SweepJob
from tapeout.data.io.jsonl import write_json
from tapeout.evals.section import Comparison, Difference, Estimate, Outcome, Plot, Step
from tapeout.evals.task import ModelFacts, load_task, read_result
from tapeout.evals.wording import SPACE, interval_of, outcome, percent, too_few, value_of
from tapeout.report.evaluation import plots
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.inputs import Action, Provenance, TrainLog
from tapeout.report.page.render import listed, render

DIGITS = 6
"""Decimal digits of every float in report.json."""
MARKS = {"good": "★", "open": "≈", "bad": ""}
"""Mark of a value in the table: the best, one that is not clearly different from it, one that is worse."""


@dataclass(frozen=True)
class Contest:
    """One measure of all variants.

    Attributes:
        comparison: its values, and the differences from the best variant to each other one.
        best: the variant with the best value, the first of them if several have it.
    """

    comparison: Comparison
    best: str

    @property
    def winners(self) -> list[str]:
        """Variants with the best value."""
        values = self.comparison.values
        return [name for name in values if values[name].value == values[self.best].value]

    def standing(self, variant: str) -> Outcome:
        """Return good for the best variants, open for those that are not clearly worse, bad for the others."""
        if self.is_tie:
            return "open"
        if variant in self.winners:
            return "good"
        return outcome(self.comparison, self.comparison.changes[self.best, variant])

    @property
    def is_tie(self) -> bool:
        """True if all variants have the same value."""
        return len({estimate.value for estimate in self.comparison.values.values()}) == 1

    @property
    def sentence(self) -> str:
        """The best variants and their value, and the variants that may be as good."""
        values = self.comparison.values
        rest = [name for name in values if self.standing(name) == "open"]
        few = too_few(self.comparison)
        value = value_of(self.comparison, self.best) + (f"{SPACE}%" if self.comparison.measure.percent else "")
        if self.is_tie:
            return f"All variants have {value}{few}."
        named = f"Best with {listed(self.winners)}: {value}"
        if rest:
            return f"{named}. No clear difference to {listed(rest)}{few}."
        return f"{named}. Clearly better than all others."


@dataclass(frozen=True)
class SweepReport:
    """Everything that both forms of the report are written from.

    Attributes:
        facts: size of each variant's model.
        contests: measures of all tasks, by name.
        logs: training log of each variant's model that has one.
        not_compared: labels of measures for which the variants have no test units in common.
        artifacts: names of the artifacts that a variant's values are computed from, by variant.
        action: digest of the report's own action.
    """

    facts: Mapping[str, ModelFacts]
    contests: Mapping[str, Contest]
    logs: Mapping[str, TrainLog]
    not_compared: Sequence[str]
    artifacts: Mapping[str, Sequence[str]]
    provenance: Provenance
    job: SweepJob
    action: str

    def same_as(self, variant: str) -> str:
        """Return the first variant that has the same artifacts, because no choice in which they differ changes them."""
        return next(name for name, artifacts in self.artifacts.items() if artifacts == self.artifacts[variant])

    def value(self, variant: str, axis: str) -> str:
        """Return a variant's choice on an axis, without the axis's name."""
        (choice,) = set(self.job.axes[axis]) & set(split(variant))
        return choice.removeprefix(f"{axis}=")


def build(
    evaluations: Sequence[Path],
    logs: Mapping[str, TrainLog],
    action: Action,
    provenance: Provenance,
    job: SweepJob,
    digest: str,
) -> SweepReport:
    """Compute all numbers of the report.

    Args:
        evaluations: result of each task for each variant: for the first variant all tasks, then for the next.
        logs: training logs by variant.
        action: the report's action, which names the artifacts of all inputs.
        provenance: digests of all inputs.
        job: variants, tasks and settings.
        digest: digest of the action.

    Raises:
        UnusableResult: a file is missing or not the result of its task.
    """
    names = [(variant, task) for variant in job.variants for task, _, _ in job.tasks]
    files = dict(zip(names, evaluations, strict=True))
    facts: dict[str, ModelFacts] = {}
    contests: dict[str, Contest] = {}
    not_compared: list[str] = []
    for name, module, given in job.tasks:
        task = load_task(module)
        options = task.options.model_validate(given)
        measured = {}
        for variant in job.variants:
            facts[variant], result = read_result(files[variant, name], task.result)
            measured[variant] = [entry for entry in task.measure(result, options) if entry[0].change is not None]
        for position, (measure, _) in enumerate(measured[job.variants[0]]):
            one = {variant: [entries[position]] for variant, entries in measured.items()}
            units = [{unit.digest for unit in entries[0][1]} for entries in one.values()]
            if not set.intersection(*units):
                not_compared.append(measure.label)
                continue
            best = _best(compare(one, job, lambda _: ())[measure.name])
            contests[measure.name] = Contest(compare(one, job, partial(_with_best, best))[measure.name], best)
    labels: dict[str, list[str]] = {variant: [] for variant in job.variants}
    given_inputs = [action.inputs["evaluations"], action.inputs["models"]]
    for items, owners in zip(given_inputs, ([variant for variant, _ in names], job.variants), strict=True):
        for item, variant in zip(items if isinstance(items, list) else [items], owners, strict=True):
            labels[variant].append(item.label)
    return SweepReport(facts, contests, logs, not_compared, labels, provenance, job, digest)


def _best(comparison: Comparison) -> str:
    choose = min if comparison.measure.lower_is_better else max
    return choose(comparison.values, key=lambda name: comparison.values[name].value)


def _with_best(best: str, variants: Iterable[str]) -> list[Step]:
    return [(best, other) for other in variants if other != best]


def headline(report: SweepReport) -> str:
    """Return one line that sums up the comparison: which variants no other one beats clearly in any measure."""
    contests = [contest for contest in report.contests.values() if not contest.is_tie]
    left = [name for name in report.job.variants if all(contest.standing(name) != "bad" for contest in contests)]
    count = len(report.job.variants)
    if count == 1:
        return "One variant"
    if not contests:
        return f"{count} variants with equal values"
    if len(left) == 1:
        return f"{left[0].replace(',', ', ')} is the best of {count} variants"
    if not left:
        return f"{count} variants, none of which is the best in every measure"
    return f"{len(left)} of {count} variants may be the best"


def write_numbers(report: SweepReport, path: Path) -> None:
    """Write every number of the page as JSON, with its interval and the digests that it was computed from."""
    write_json(
        path,
        {
            "headline": headline(report),
            "model": report.job.model,
            "action": report.action,
            "best": {name: contest.winners for name, contest in report.contests.items()},
            "not_compared": list(report.not_compared),
            "variants": {name: _variant(report, name) for name in report.job.variants},
            "artifacts": [asdict(origin) for origin in report.provenance.table()],
            "method": {name: getattr(report.job, name) for name in ("seed", "resamples", "permutations", "confidence")},
        },
    )


def _variant(report: SweepReport, variant: str) -> dict[str, Any]:
    log = report.logs.get(variant)
    measures: dict[str, dict[str, Any]] = {}
    for name, contest in report.contests.items():
        change = contest.comparison.changes.get((contest.best, variant))
        measures[name] = {
            **_estimate(contest.comparison.values[variant]),
            "difference_to_best": None if change is None else _estimate(change),
            "standing": contest.standing(variant),
        }
    return {
        "choices": {axis: report.value(variant, axis) for axis in report.job.axes},
        **report.facts[variant].model_dump(),
        "measures": measures,
        "training": None if log is None else log.model_dump(mode="json", exclude_none=True, exclude={"spikes"}),
        "computed_from": report.provenance.digests(*report.artifacts[variant]),
    }


def _estimate(estimate: Estimate) -> dict[str, float]:
    names = ("value", "low", "high", *(("p", "corrected") if isinstance(estimate, Difference) else ()))
    return {name: round(getattr(estimate, name), DIGITS) for name in names}


def write_page(report: SweepReport, path: Path) -> None:
    """Write the page: one file without references to others."""
    comparisons = {name: contest.comparison for name, contest in report.contests.items()}
    drawings = []
    for name, comparison in comparisons.items():
        measure = comparison.measure
        better = "lower" if measure.lower_is_better else "higher"
        axis = f"{'per cent' if measure.percent else 'value'} ({better} is better)"
        plot = Plot(name, measure.label, f"{comparison.units} {measure.unit}", measure.label, axis, {"": name})
        drawings.append((plot.title, plot.caption, plot.description, Markup(plots.measures(plot, comparisons))))
    if report.logs:
        drawing = Markup(plots.loss_curves(report.logs))
        caption = "Lines: running mean of the training loss; points: validation"
        drawings.append(("Loss during training", caption, "Loss of each variant by step", drawing))
    context = {
        "headline": headline(report),
        "report": report,
        "job": report.job,
        "confidence": percent(report.job.confidence, 0),
        "drawings": drawings,
        "marks": MARKS,
        "origins": report.provenance.table(),
    }
    filters = {"value_of": value_of, "interval_of": interval_of}
    path.write_text(render(Path(__file__).with_name("page.html.j2"), context, filters), encoding="utf-8")
