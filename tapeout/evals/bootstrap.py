"""Paired bootstrap over test documents or rows (Efron 1979; for models on one test set: Koehn 2004)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: computed from all units.
        low, high: ends of the percentile interval.
    """

    value: float
    low: float
    high: float


class Resampler:
    """Resamples of the same units for every model, so that differences between models are paired.

    Args:
        strata: the stratum of each unit; units are drawn with replacement within their stratum, whose size stays.
        resamples: number of resamples.
        confidence: coverage of the intervals.
        seed: seed of the run.
        name: name of the measure; another name draws other resamples, and a new measure moves none of the others.
    """

    def __init__(self, strata: Sequence[str], resamples: int, confidence: float, seed: int, name: str) -> None:
        material = sha256(f"{seed}\n{name}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(material[:16], "big")))
        self._tail = (1 - confidence) / 2
        self.units = len(strata)
        self._counts: Counts = np.zeros((resamples, len(strata)), dtype=np.int64)
        for stratum in sorted(set(strata)):
            members = np.flatnonzero(np.array([each == stratum for each in strata]))
            even = np.full(len(members), 1 / len(members))
            self._counts[:, members] = generator.multinomial(len(members), even, size=resamples)

    def estimate(self, statistic: Callable[[Floats], Floats]) -> Estimate:
        """Estimate a statistic and its interval.

        Args:
            statistic: from the number of times that each unit was drawn, shape (resamples, units), to one value per
                resample. For ratios of sums it is exact to weigh the units with these numbers.
        """
        value = statistic(np.ones((1, self.units)))[0]
        drawn = np.sort(statistic(self._counts.astype(np.float64)))
        low, high = np.quantile(drawn, [self._tail, 1 - self._tail])
        return Estimate(float(value), float(low), float(high))


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Callable[[Floats], Floats]:
    """The statistic ``sum(numerator) / sum(denominator)`` over the drawn units."""
    top, bottom = np.array(numerator, dtype=np.float64), np.array(denominator, dtype=np.float64)

    def statistic(weights: Floats) -> Floats:
        # einsum adds in a fixed order; a BLAS product may not, on another number of threads
        result: Floats = np.einsum("ru,u->r", weights, top) / np.einsum("ru,u->r", weights, bottom)
        return result

    return statistic


def difference(after: Callable[[Floats], Floats], before: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """The paired difference ``after - before``: both see the same units."""
    return lambda weights: after(weights) - before(weights)


def relative_change(
    after: Callable[[Floats], Floats], before: Callable[[Floats], Floats]
) -> Callable[[Floats], Floats]:
    """The paired relative change ``after / before - 1``."""
    return lambda weights: after(weights) / before(weights) - 1
