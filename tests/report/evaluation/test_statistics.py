"""Intervals: known values, coverage, pairing, seeding."""

from math import comb

import numpy as np
import pytest

from tapeout.config.report import Report
from tapeout.evals.section import Measure, Unit
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.statistics import Resampler, difference, ratio, relative_change, wilson

pytestmark = pytest.mark.environment("data")


def resampler(units: int, seed: int = 1, name: str = "m", resamples: int = 400) -> Resampler:
    return Resampler([""] * units, resamples, 0.95, seed, name)


def test_same_seed_same_interval_other_seed_or_name_another() -> None:
    values = np.random.default_rng(0).normal(5, 1, 50).tolist()
    statistic = ratio(values, [1.0] * 50)
    first = resampler(50).estimate(statistic)
    assert first == resampler(50).estimate(statistic)
    assert first.value == pytest.approx(np.mean(values))
    assert first.low < first.value < first.high
    assert first != resampler(50, seed=2).estimate(statistic)
    assert first != resampler(50, name="n").estimate(statistic)


def test_coverage_is_near_95_percent() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for trial in range(400):
        size = generator.uniform(1, 10, 60)
        estimate = resampler(60, seed=trial).estimate(
            ratio((size * generator.normal(2, 0.5, 60)).tolist(), size.tolist())
        )
        covered += estimate.low <= 2 <= estimate.high
    assert 0.91 <= covered / 400 <= 0.98


def test_pairing_makes_differences_narrow() -> None:
    generator = np.random.default_rng(2)
    before = generator.normal(10, 3, 80)
    after = before - 0.5 + generator.normal(0, 0.1, 80)
    ones = [1.0] * 80
    first, second = ratio(before.tolist(), ones), ratio(after.tolist(), ones)
    gain = resampler(80).estimate(difference(second, first))
    assert gain.high < -0.4 and gain.high - gain.low < 0.1
    alone = resampler(80).estimate(first)
    assert alone.high - alone.low > 1
    relative = resampler(80).estimate(relative_change(second, first))
    assert relative.value == pytest.approx(after.mean() / before.mean() - 1)


def test_strata_keep_their_sizes() -> None:
    strata = ["a"] * 10 + ["b"] * 30
    flags = [1.0] * 10 + [0.0] * 30
    estimate = Resampler(strata, 200, 0.95, 0, "m").estimate(ratio(flags, [1.0] * 40))
    assert (estimate.low, estimate.value, estimate.high) == (0.25, 0.25, 0.25)


def test_wider_confidence_wider_interval() -> None:
    values = np.random.default_rng(0).normal(5, 1, 50).tolist()
    statistic = ratio(values, [1.0] * 50)
    wide = Resampler([""] * 50, 1000, 0.99, 0, "m").estimate(statistic)
    narrow = Resampler([""] * 50, 1000, 0.8, 0, "m").estimate(statistic)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("successes", "rows", "low", "high"),
    [(0, 16, 0.0, 0.1936), (16, 16, 0.8064, 1.0), (7, 10, 0.3968, 0.8922), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_known_values(successes: int, rows: int, low: float, high: float) -> None:
    # the last is the example of Newcombe 1998, table I, method 3
    estimate = wilson(successes, rows, 0.95)
    assert estimate.value == successes / rows
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-4)


def test_wilson_coverage_is_near_the_confidence_on_average() -> None:
    def coverage(share: float) -> float:
        covered = 0.0
        for successes in range(21):
            estimate = wilson(successes, 20, 0.9)
            if estimate.low <= share <= estimate.high:
                covered += comb(20, successes) * share**successes * (1 - share) ** (20 - successes)
        return covered

    shares = [(index + 0.5) / 200 for index in range(200)]
    assert 0.88 <= sum(map(coverage, shares)) / len(shares) <= 0.93


@pytest.mark.parametrize(("scores", "low", "high"), [([0.0] * 16, 0.0, 0.1936), ([1.0] * 16, 0.8064, 1.0)])
def test_a_fraction_that_is_the_same_in_all_rows_has_an_interval_with_a_width(
    scores: list[float], low: float, high: float
) -> None:
    """ROUGE-L of a model without a single word in common is not known to be zero."""
    measure = Measure("rouge_l", "ROUGE-L", "rows", "x", lower_is_better=False, total=16, percent=True)
    units = [Unit(str(number), score) for number, score in enumerate(scores)]
    found = compare({"a": [(measure, units)]}, Report(resamples=100))["rouge_l"].values["a"]
    assert (found.value, found.low, found.high) == pytest.approx((scores[0], low, high), abs=1e-4)
