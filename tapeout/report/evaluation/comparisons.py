"""Comparison of models on each measure: units are paired, every number gets its interval."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from tapeout.config.report import Statistics
from tapeout.evals.section import Comparison, Estimate, Measure, Step, Unit
from tapeout.evals.task import UnusableResult
from tapeout.report.evaluation.statistics import Resampler, difference, ratio, relative_change, wilson

Steps = Callable[[Iterable[str]], Iterable[Step]]


def each_two(models: Iterable[str]) -> Iterable[Step]:
    """Return all pairs of models, in their order."""
    return combinations(models, 2)


def compare(
    measured: Mapping[str, Sequence[tuple[Measure, Sequence[Unit]]]],
    settings: Statistics,
    steps: Steps = each_two,
) -> dict[str, Comparison]:
    """Return the comparison of each measure, and of its strata, by name.

    Args:
        measured: what ``Task.measure`` returned for each model.
        settings: settings of the bootstrap.
        steps: which models are compared with which.

    Raises:
        UnusableResult: the models share no unit of a measure.
    """
    comparisons: dict[str, Comparison] = {}
    for measures in zip(*measured.values(), strict=True):
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
    return comparisons


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
    measure: Measure, units: Mapping[str, Sequence[Unit]], settings: Statistics, steps: Steps
) -> Comparison:
    strata = [unit.stratum for unit in next(iter(units.values()))]
    resampler = Resampler(strata, settings.resamples, settings.confidence, settings.seed, measure.name)
    statistics = {
        model: ratio([unit.numerator for unit in scores], [unit.denominator for unit in scores])
        for model, scores in units.items()
    }
    pairs = list(steps(units))
    positive = all(min(unit.numerator for unit in scores) > 0 for scores in units.values())

    def value(model: str) -> Estimate:
        scores = {unit.numerator / unit.denominator for unit in units[model]} if measure.percent else {}
        if measure.interval == "wilson" or scores in ({0.0}, {1.0}):  # resamples of these would all be equal
            right = round(sum(unit.numerator for unit in units[model]))
            return wilson(right, len(strata), settings.confidence)
        return resampler.estimate(statistics[model])

    def change(step: tuple[str, str]) -> Estimate:
        return resampler.estimate(difference(statistics[step[1]], statistics[step[0]]))

    def relative(step: tuple[str, str]) -> Estimate:
        return resampler.estimate(relative_change(statistics[step[1]], statistics[step[0]]))

    return Comparison(
        measure=measure,
        units=len(strata),
        values={model: value(model) for model in units},
        changes={step: change(step) for step in pairs},
        relative={step: relative(step) for step in pairs} if positive else {},
    )
