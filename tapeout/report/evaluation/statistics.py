"""Confidence intervals: paired bootstrap over test units, and Wilson's interval of a fraction of rows.

Bootstrap: Efron 1979; for models on one test set Koehn 2004. Interval of a fraction: Wilson 1927.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tapeout.evals.section import Estimate

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""Function of the number of times that each unit was drawn, shape (resamples, units), to one value per resample."""


class Resampler:
    """Resamples of the same units for every model, so that differences between models are paired.

    Args:
        strata: the stratum of each unit; units are drawn with replacement within their stratum, whose size stays.
        resamples: number of resamples.
        confidence: coverage of the intervals.
        seed: seed of the report.
        name: name of the measure; it enters the seed, so that a new measure changes the resamples of no other.
    """

    def __init__(self, strata: Sequence[str], resamples: int, confidence: float, seed: int, name: str) -> None:
        """Draw the resamples."""
        material = sha256(f"{seed}\n{name}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(material[:16], "big")))
        self._tail = (1 - confidence) / 2
        self.units = len(strata)
        self._counts: Counts = np.zeros((resamples, len(strata)), dtype=np.int64)
        for stratum in sorted(set(strata)):
            members = np.flatnonzero(np.array([name == stratum for name in strata]))
            even = np.full(len(members), 1 / len(members))
            self._counts[:, members] = generator.multinomial(len(members), even, size=resamples)

    def estimate(self, statistic: Statistic) -> Estimate:
        """Return a statistic with its percentile interval; weighting units is exact for ratios of sums."""
        value = statistic(np.ones((1, self.units)))[0]
        drawn = np.sort(statistic(self._counts.astype(np.float64)))
        low, high = np.quantile(drawn, [self._tail, 1 - self._tail])
        return Estimate(float(value), float(low), float(high))

    def standard_error(self, statistic: Statistic) -> float:
        """Return the standard deviation of a statistic over the resamples."""
        return float(np.std(statistic(self._counts.astype(np.float64)), ddof=1))


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Statistic:
    """Return the statistic ``sum(numerator) / sum(denominator)`` over the drawn units."""
    top, bottom = np.array(numerator, dtype=np.float64), np.array(denominator, dtype=np.float64)

    def statistic(weights: Floats) -> Floats:
        # einsum adds in a fixed order; a BLAS product may not, on another number of threads
        result: Floats = np.einsum("ru,u->r", weights, top) / np.einsum("ru,u->r", weights, bottom)
        return result

    return statistic


def difference(after: Statistic, before: Statistic) -> Statistic:
    """Return the paired difference ``after - before``: both are computed on the same units."""
    return lambda weights: after(weights) - before(weights)


def relative_change(after: Statistic, before: Statistic) -> Statistic:
    """Return the paired relative change ``after / before - 1``."""
    return lambda weights: after(weights) / before(weights) - 1


def wilson(successes: int, rows: int, confidence: float) -> Estimate:
    """Return a fraction with its score interval, which has a width where no row or every row succeeds.

    A bootstrap draws only equal rows there, and its interval has no width.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    fraction = successes / rows
    centre = (fraction + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z * sqrt(fraction * (1 - fraction) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == rows else centre + reach
    return Estimate(fraction, low, high)
