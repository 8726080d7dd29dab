"""The tests of differences against SciPy."""

import numpy as np
import pytest

from tapeout.evals.section import Unit
from tapeout.report.evaluation.paired_tests import mcnemar, permutation

pytestmark = pytest.mark.environment("nemo")


def units(values: list[float]) -> list[Unit]:
    return [Unit(str(number), value) for number, value in enumerate(values)]


def test_mcnemar_is_the_binomial_test_of_discordant_rows() -> None:
    from scipy.stats import binomtest

    for won in range(0, 25, 3):
        for lost in range(0, 40, 7):
            before, after = [0.0] * won + [1.0] * lost + [1.0], [1.0] * won + [0.0] * lost + [1.0]
            expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
            assert mcnemar(units(before), units(after)) == pytest.approx(expected, rel=1e-9)


def test_permutation_is_that_of_scipy() -> None:
    from scipy.stats import permutation_test

    generator = np.random.default_rng(8)
    for size, exact in ((9, True), (30, False)):
        before, after = generator.exponential(1, size), generator.exponential(1.6, size)
        expected = permutation_test(
            (after, before),
            lambda first, second, axis: np.mean(first - second, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf if exact else 20_000,
            rng=np.random.default_rng(1),
        ).pvalue
        found = permutation(units(before.tolist()), units(after.tolist()), 20_000, 0, "m")
        assert found == pytest.approx(expected, abs=1e-12 if exact else 0.012)
