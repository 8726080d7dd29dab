"""Wilson's interval against known values and by its coverage."""

from math import comb

import pytest

from tapeout.evals.proportion import wilson

pytestmark = pytest.mark.environment("nemo")


@pytest.mark.parametrize(
    ("successes", "rows", "low", "high"),
    [(0, 16, 0.0, 0.1936), (16, 16, 0.8064, 1.0), (7, 10, 0.3968, 0.8922), (81, 263, 0.2553, 0.3662)],
)
def test_known_values(successes: int, rows: int, low: float, high: float) -> None:
    """The last is the example of Newcombe 1998, table I, method 3."""
    estimate = wilson(successes, rows, 0.95)
    assert estimate.value == successes / rows
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-4)


def test_coverage_is_near_the_confidence_on_average() -> None:
    def coverage(share: float) -> float:
        covered = 0.0
        for successes in range(21):
            estimate = wilson(successes, 20, 0.9)
            if estimate.low <= share <= estimate.high:
                covered += comb(20, successes) * share**successes * (1 - share) ** (20 - successes)
        return covered

    shares = [(index + 0.5) / 200 for index in range(200)]
    assert 0.88 <= sum(map(coverage, shares)) / len(shares) <= 0.93
