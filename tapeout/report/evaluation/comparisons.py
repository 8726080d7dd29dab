"""Comparison of models on each measure: units are paired, every number gets its interval, every change its test."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from math import sqrt
from typing import Literal

from tapeout.config.report import PairedStatistics
from tapeout.evals.section import Comparison, Difference, Measure, Step, Unit, Value
from tapeout.evals.task import UnusableResult
from tapeout.report.evaluation.paired_tests import (
    are_flags,
    detectable,
    differing_rows,
    fewest_rows,
    holm,
    mcnemar,
    permutation,
)
from tapeout.report.evaluation.statistics import Resampler, Statistic, difference, ratio, relative_change, wilson

ROUNDING = 1e-9
"""Rounding error of numbers that are computed exactly otherwise, such as one minus the confidence."""

Steps = Callable[[Iterable[str]], Iterable[Step]]


def each_two(models: Iterable[str]) -> Iterable[Step]:
    """Return all pairs of models, in their order."""
    return combinations(models, 2)


def compare(
    measured: Mapping[str, Sequence[tuple[Measure, Sequence[Unit]]]],
    settings: PairedStatistics,
    steps: Steps = each_two,
) -> dict[str, Comparison]:
    """Return the comparison of each measure that all models have, and of its strata, by name.

    P-values of changes are corrected for the number of changes that are stated of these measures.

    Args:
        measured: what ``Task.measure`` returned for each model.
        settings: settings of the bootstrap and of the tests.
        steps: which models are compared with which.

    Raises:
        UnusableResult: the models share no unit of a measure.
    """
    comparisons: dict[str, Comparison] = {}
    named = [{measure.name: (measure, units) for measure, units in measures} for measures in measured.values()]
    shared = [name for name in named[0] if all(name in measures for measures in named)]
    for measures in ([by_name[name] for by_name in named] for name in shared):
        measure = measures[0][0]
        units = paired({model: scores for model, (_, scores) in zip(measured, measures, strict=True)}, measure.unit)
        comparisons[measure.name] = _comparison(measure, units, settings, steps)
        strata = sorted({unit.stratum for unit in next(iter(units.values()))}) if measure.by_stratum else []
        for stratum in strata:
            part = {model: [unit for unit in scores if unit.stratum == stratum] for model, scores in units.items()}
            name = f"{measure.name}.{stratum}"
            comparisons[name] = _comparison(
                replace(measure, name=name, label=stratum, change=None), part, settings, steps
            )
    return corrected(comparisons, settings.confidence)


def paired(by_model: Mapping[str, Sequence[Unit]], kind: str) -> dict[str, list[Unit]]:
    """Return the units that every model has, in the order of their digests.

    Raises:
        UnusableResult: the models share no unit.
    """
    known = {model: {unit.digest: unit for unit in units} for model, units in by_model.items()}
    shared = sorted(set.intersection(*(set(units) for units in known.values())))
    if not shared:
        raise UnusableResult(
            f"The evaluations of {', '.join(by_model)} have no {kind} in common.",
            "Evaluate all models with the same test data and the same parameters.",
        )
    return {model: [units[digest] for digest in shared] for model, units in known.items()}


def _comparison(
    measure: Measure, units: Mapping[str, Sequence[Unit]], settings: PairedStatistics, steps: Steps
) -> Comparison:
    strata = [unit.stratum for unit in next(iter(units.values()))]
    resampler = Resampler(strata, settings.resamples, settings.confidence, settings.seed, measure.name)
    statistics = {
        model: ratio([unit.numerator for unit in scores], [unit.denominator for unit in scores])
        for model, scores in units.items()
    }
    pairs = list(steps(units))
    positive = all(min(unit.numerator for unit in scores) > 0 for scores in units.values())
    tests = {step: _test(measure, units, settings, step) for step in pairs}

    def value(model: str) -> Value:
        scores = {unit.numerator / unit.denominator for unit in units[model]} if measure.percent else {}
        if measure.interval == "wilson" or scores in ({0.0}, {1.0}):  # resamples of these would all be equal
            right = round(sum(unit.numerator for unit in units[model]))
            return Value(**asdict(wilson(right, len(strata), settings.confidence)), interval="wilson")
        return Value(**asdict(resampler.estimate(statistics[model])), interval="bootstrap")

    def change(form: Callable[[Statistic, Statistic], Statistic], step: Step) -> Difference:
        statistic = form(statistics[step[1]], statistics[step[0]])
        estimate, error = resampler.estimate(statistic), resampler.standard_error(statistic)
        test, p = tests[step]
        basis: Literal["observed", "fewest rows"] = "observed"
        if test == "mcnemar":
            differing, fewest = differing_rows(*(units[model] for model in step)), fewest_rows(settings.confidence)
            basis = "observed" if differing >= fewest else "fewest rows"
            error = sqrt(max(differing, fewest)) / len(strata)
        limit = detectable(error, settings.confidence)
        return Difference(
            *(estimate.value, estimate.low, estimate.high),
            test=test,
            p=p,
            corrected=1.0,
            clear=False,
            detectable=limit if limit > ROUNDING and (limit <= 1 or not measure.percent) else None,
            basis=basis,
        )

    return Comparison(
        measure=measure,
        units=len(strata),
        values={model: value(model) for model in units},
        changes={step: change(difference, step) for step in pairs},
        relative={step: change(relative_change, step) for step in pairs} if positive else {},
    )


def _test(
    measure: Measure, units: Mapping[str, Sequence[Unit]], settings: PairedStatistics, step: Step
) -> tuple[Literal["mcnemar", "permutation"], float]:
    """Return which test compares two models, and its p-value."""
    before, after = (units[model] for model in step)
    if measure.interval == "wilson" and are_flags(before) and are_flags(after):
        return "mcnemar", mcnemar(before, after)
    name = "\n".join((measure.name, *step))
    return "permutation", permutation(before, after, settings.permutations, settings.seed, name)


def corrected(comparisons: Mapping[str, Comparison], confidence: float) -> dict[str, Comparison]:
    """Return comparisons with p-values that are corrected together, by which a change is clear or not.

    The measures of the table of changes are one family. Each other one, whose changes no table states, is a family of
    its own.
    """
    table = [name for name, comparison in comparisons.items() if comparison.measure.change is not None]
    families = [table, *([name] for name in comparisons if name not in table)]
    levels: dict[tuple[str, Step], float] = {}
    for family in families:
        tests = {(name, step): change.p for name in family for step, change in comparisons[name].changes.items()}
        levels |= dict(zip(tests, holm(list(tests.values())), strict=True))

    def with_tests(name: str, changes: Mapping[Step, Difference]) -> dict[Step, Difference]:
        found = {step: levels[name, step] for step in changes}
        return {
            step: replace(change, corrected=found[step], clear=found[step] <= 1 - confidence + ROUNDING)
            for step, change in changes.items()
        }

    return {
        name: replace(
            comparison,
            changes=with_tests(name, comparison.changes),
            relative=with_tests(name, comparison.relative),
        )
        for name, comparison in comparisons.items()
    }
