"""Tests of differences between models: known answers, the level under the null hypothesis, power, the correction."""

from collections.abc import Sequence
from itertools import product
from math import comb

import numpy as np
import pytest

from tapeout.config.report import Report
from tapeout.evals.section import Measure, Unit
from tapeout.report.evaluation.changes import change_table
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.paired_tests import are_flags, detectable, fewest_rows, holm, mcnemar, permutation

pytestmark = pytest.mark.environment("data")


def units(values: Sequence[float], sizes: Sequence[float] | None = None) -> list[Unit]:
    return [
        Unit(f"{number:04}", float(value), float(size))
        for number, (value, size) in enumerate(zip(values, sizes or [1.0] * len(values), strict=True))
    ]


def flags(both: int, lost: int, won: int, neither: int) -> tuple[list[Unit], list[Unit]]:
    before = [1] * both + [1] * lost + [0] * won + [0] * neither
    after = [1] * both + [0] * lost + [1] * won + [0] * neither
    return units(before), units(after)


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [
        (0, 0, 1.0),
        (0, 5, 2 / 2**5),
        (0, 6, 2 / 2**6),
        (1, 9, 2 * (1 + 10) / 2**10),
        (3, 3, 1.0),
        (5, 15, 2 * sum(comb(20, count) for count in range(6)) / 2**20),
    ],
)
def test_mcnemar_by_hand(lost: int, won: int, p: float) -> None:
    for both, neither in ((0, 0), (7, 2)):
        assert mcnemar(*flags(both, lost, won, neither)) == pytest.approx(p, abs=1e-15)
        assert mcnemar(*flags(both, won, lost, neither)) == pytest.approx(p, abs=1e-15)


def test_permutation_equals_an_enumeration_of_exchanges() -> None:
    """Ratios of sums with unequal denominators; units that are equal in both models do not count."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        before = units(generator.uniform(1, 5, 7).tolist(), generator.integers(1, 9, 7).tolist())
        after = [*units(generator.uniform(1, 5, 6).tolist(), generator.integers(1, 9, 6).tolist()), before[6]]

        def difference(choice: Sequence[int], pairs: Sequence[tuple[Unit, Unit]]) -> float:
            sides = [[pair[pick] for pick, pair in zip(choice, pairs, strict=True)]]
            sides.append([pair[1 - pick] for pick, pair in zip(choice, pairs, strict=True)])
            first, second = (sum(u.numerator for u in side) / sum(u.denominator for u in side) for side in sides)
            return abs(second - first)

        pairs = list(zip(before, after, strict=True))
        found = [difference(choice, pairs) for choice in product((0, 1), repeat=7)]
        expected = sum(value >= found[0] - 1e-12 for value in found) / len(found)
        assert permutation(before, after, 64, 0, "m") == pytest.approx(expected, abs=1e-12)


def test_permutation_of_flags_is_mcnemar() -> None:
    """With all exchanges the two tests are one; with random ones they agree within the error of sampling."""
    for lost, won in ((2, 9), (0, 7), (4, 4)):
        before, after = flags(3, lost, won, 5)
        assert permutation(before, after, 2**11, 0, "m") == pytest.approx(mcnemar(before, after), abs=1e-12)
    before, after = flags(0, 6, 16, 0)
    assert permutation(before, after, 20_000, 0, "m") == pytest.approx(mcnemar(before, after), abs=0.005)


def test_equal_models_do_not_differ() -> None:
    same = units([0.1, 0.7, 0.3], [1, 2, 3])
    assert permutation(same, same, 1000, 0, "m") == 1.0
    assert mcnemar(*flags(4, 0, 0, 4)) == 1.0


def test_random_exchanges_depend_on_seed_and_name_alone() -> None:
    generator = np.random.default_rng(0)
    before, after = units(generator.normal(5, 1, 40).tolist()), units(generator.normal(5.3, 1, 40).tolist())
    p = permutation(before, after, 5000, 1, "m")
    assert p == permutation(before, after, 5000, 1, "m")
    assert len({p, permutation(before, after, 5000, 2, "m"), permutation(before, after, 5000, 1, "n")}) == 3
    assert permutation(units([0.0] * 40), units([1.0] * 40), 5000, 1, "m") == 1 / 5001, "never zero"


@pytest.mark.parametrize("kind", ["ratio", "flags"])
def test_level_under_the_null_hypothesis(kind: str) -> None:
    """Without a difference, no more than one test in twenty finds one (both models are alike, units are paired)."""
    generator, found, trials = np.random.default_rng(11), 0, 1000
    for trial in range(trials):
        if kind == "ratio":
            sizes, shared = generator.uniform(1, 10, 30), generator.normal(3, 1, 30)
            before, after = (
                units((sizes * (shared + generator.standard_t(3, 30))).tolist(), sizes.tolist()) for _ in range(2)
            )
            found += permutation(before, after, 199, trial, "m") <= 0.05
        else:
            rates = generator.uniform(0, 1, 40)
            before, after = (units((generator.random(40) < rates).astype(float).tolist()) for _ in range(2))
            found += mcnemar(before, after) <= 0.05
    assert found / trials <= 0.065
    assert found / trials >= (0.035 if kind == "ratio" else 0.005), "McNemar's test is exact, so below its level"


def test_the_detectable_difference_is_found_in_four_of_five_test_sets() -> None:
    generator, trials, count, spread = np.random.default_rng(4), 400, 60, 2.0
    effect = detectable(spread / count**0.5, 0.95)
    assert effect == pytest.approx((1.959964 + 0.841621) * spread / count**0.5, rel=1e-6)
    zero = units([0.0] * count)
    hits = sum(
        permutation(zero, units(generator.normal(effect, spread, count).tolist()), 499, trial, "m") <= 0.05
        for trial in range(trials)
    )
    assert 0.74 <= hits / trials <= 0.86


def test_the_detectable_difference_of_right_and_wrong_rows() -> None:
    """40 problems of which the models differ in ten: about 22 points are needed, and an exact test has less power."""
    effect = detectable(10**0.5 / 40, 0.95)
    assert effect == pytest.approx(0.2215, abs=1e-4)
    generator, trials, hits = np.random.default_rng(6), 600, 0
    for _ in range(trials):
        wins = generator.choice([1, -1, 0], 40, p=[(0.25 + effect) / 2, (0.25 - effect) / 2, 0.75])
        hits += mcnemar(units((wins == -1).astype(float).tolist()), units((wins == 1).astype(float).tolist())) <= 0.05
    assert 0.65 <= hits / trials <= 0.86


def test_fewest_rows() -> None:
    assert [fewest_rows(confidence) for confidence in (0.95, 0.99, 0.6)] == [6, 8, 3]
    assert fewest_rows(0.875) == 4, "the level is 1/8 but for rounding"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02] and holm([]) == []


def test_only_zeros_and_ones_of_one_are_right_or_wrong() -> None:
    assert are_flags(units([0, 1, 1]))
    assert not are_flags(units([0, 0.5])) and not are_flags(units([1, 1], [1, 2]))


def measured(
    name: str, values: Sequence[Sequence[float]], interval: str = "bootstrap", change: str | None = "points"
) -> dict[str, list[tuple[Measure, list[Unit]]]]:
    measure = Measure(
        name,
        name,
        "rows",
        "x",
        False,
        len(values[0]),
        percent=True,
        interval=interval,
        change=change,  # type: ignore[arg-type]
    )
    return {model: [(measure, units(own))] for model, own in zip("abcdef", values, strict=False)}


def joined(*parts: dict[str, list[tuple[Measure, list[Unit]]]]) -> dict[str, list[tuple[Measure, list[Unit]]]]:
    return {model: [entry for part in parts for entry in part[model]] for model in parts[0]}


def test_changes_of_one_table_are_corrected_together() -> None:
    one = measured("one", [[0.0] * 20, [1.0] * 7 + [0.0] * 13], "wilson")
    alone = compare(one, Report(resamples=100))["one"].changes["a", "b"]
    assert (alone.test, alone.p, alone.corrected, alone.clear) == ("mcnemar", 2 / 2**7, 2 / 2**7, True)
    others = [measured(f"other{number}", [[0.5] * 20, [0.5] * 20]) for number in range(3)]
    beside = compare(joined(one, *others), Report(resamples=100))["one"].changes["a", "b"]
    assert (beside.p, beside.corrected, beside.clear) == (2 / 2**7, 4 * 2 / 2**7, False)
    unstated = [measured(f"other{number}", [[0.5] * 20, [0.5] * 20], change=None) for number in range(3)]
    assert compare(joined(one, *unstated), Report(resamples=100))["one"].changes["a", "b"] == alone


def test_the_table_states_the_corrected_value_and_what_cannot_be_seen() -> None:
    one = measured("one", [[0.0] * 40, [1.0] * 8 + [0.0] * 32], "wilson")
    table = change_table("Title", compare(one, Report(resamples=100)))
    [line] = table.lines
    assert (line.units, line.p, line.corrected, line.verdict, line.outcome) == (
        *("40 rows", "0.008", "0.008"),
        *("better", "good"),
    )
    assert line.detectable == "19.8\u202fpoints"
    assert table.power == ["with 40 rows none under 19.8\u202fpoints in “one”"]
    many = measured("many", [[0.0] * 400, [1.0] * 80 + [0.0] * 320], "wilson")
    assert change_table("Title", compare(many, Report(resamples=100))).power == []


def test_few_differing_rows_do_not_make_small_differences_visible() -> None:
    for won, basis, error in (
        (9, "observed", 3 / 40),
        (2, "fewest rows", 6**0.5 / 40),
        (0, "fewest rows", 6**0.5 / 40),
    ):
        one = measured("one", [[0.0] * 40, [1.0] * won + [0.0] * (40 - won)], "wilson")
        change = compare(one, Report(resamples=100))["one"].changes["a", "b"]
        assert (change.basis, change.detectable) == (basis, pytest.approx(detectable(error, 0.95)))
    five = compare(measured("one", [[0.0] * 5, [1.0] * 5], "wilson"), Report(resamples=100))["one"].changes["a", "b"]
    assert five.detectable is None and not five.clear, "five rows can never show a difference"
    same = compare(measured("one", [[0.5] * 40, [0.5] * 40]), Report(resamples=100))["one"].changes["a", "b"]
    assert same.detectable is None


def test_each_value_names_the_interval_that_it_has() -> None:
    values = compare(measured("one", [[0.0] * 9, [0.5] * 9, [1.0] * 9]), Report(resamples=100))["one"].values
    assert {model: value.interval for model, value in values.items()} == {
        "a": "wilson",
        "b": "bootstrap",
        "c": "wilson",
    }
    assert (values["b"].low, values["b"].high) == (0.5, 0.5) and values["a"].high > 0 and values["c"].low < 1
    values = compare(measured("one", [[0.0] * 9, [1.0] * 2 + [0.0] * 7], "wilson"), Report(resamples=100))["one"].values
    assert {value.interval for value in values.values()} == {"wilson"}
