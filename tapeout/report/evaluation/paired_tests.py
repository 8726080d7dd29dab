"""Tests of the difference between two models on the same units, and the correction for many of them.

Exact test of paired right and wrong answers: McNemar 1947. Sign-flip permutation test: Fisher 1935. Correction: Holm
1979. None of them assumes a distribution, and none depends on the number of threads.
"""

from collections.abc import Sequence
from hashlib import sha256
from math import comb
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tapeout.evals.section import Unit

POWER = 0.8
"""Probability with which the minimum detectable difference is found."""
BATCH = 2_000
"""Sign flips that are computed at a time."""
TOLERANCE = 1e-12
"""Rounding error below which two differences are equal, relative to the ratios."""

Floats = NDArray[np.float64]


def are_flags(units: Sequence[Unit]) -> bool:
    """Return whether each unit is right or wrong: zero or one of one."""
    return all(unit.denominator == 1 and unit.numerator in (0, 1) for unit in units)


def mcnemar(before: Sequence[Unit], after: Sequence[Unit]) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Only rows count that one model has right and the other wrong: without a difference, each model has either with
    probability one half.
    """
    lost = sum(one.numerator > other.numerator for one, other in zip(before, after, strict=True))
    won = sum(one.numerator < other.numerator for one, other in zip(before, after, strict=True))
    tail = sum(comb(won + lost, count) for count in range(min(won, lost) + 1))
    p: float = 2 * tail / 2 ** (won + lost)
    return min(1.0, p)


def permutation(before: Sequence[Unit], after: Sequence[Unit], flips: int, seed: int, name: str) -> float:
    """Return the two-sided p-value of a permutation test of the difference of two ratios of sums.

    Without a difference, the scores of a unit could as well be exchanged between the models. If the units that differ
    allow no more than ``flips`` exchanges, all are computed, and the p-value is exact; otherwise ``flips`` random ones,
    and the observed one counts as one of them.

    Args:
        before: units of one model.
        after: the same units of the other model, in the same order.
        flips: maximum number of exchanges.
        seed: seed of the report.
        name: name of the measure and of the models; it enters the seed.
    """
    first, second = _columns(before), _columns(after)
    differing = np.flatnonzero((first != second).any(axis=0))
    middle: Floats = (first + second).sum(axis=1) / 2
    half: Floats = ((second - first) / 2)[:, differing]
    if exact := 2 ** len(differing) <= flips:
        numbers = np.arange(2 ** len(differing), dtype=np.uint32)[:, None] >> np.arange(len(differing), dtype=np.uint32)
        flipped = numbers & 1
    else:
        material = sha256(f"{seed}\n{name}\npermutation".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(material[:16], "big")))
    rounding = TOLERANCE * abs(float(middle[0] / middle[1]))
    observed = abs(_difference(middle, half, np.ones((1, len(differing))))[0]) - rounding
    extreme, done, total = 0, 0, 2 ** len(differing) if exact else flips
    while done < total:
        size = min(BATCH, total - done)
        drawn = flipped[done : done + size] if exact else generator.integers(0, 2, (size, len(differing)))
        found = np.abs(_difference(middle, half, 1 - 2 * drawn.astype(np.float64)))
        extreme += int(np.count_nonzero(found >= observed))
        done += size
    return extreme / total if exact else (1 + extreme) / (1 + total)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in their order; the chance of any false finding keeps its bound."""
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = largest
    return corrected


def detectable(error: float, confidence: float) -> float:
    """Return the smallest difference that a single test finds with a probability of ``POWER``.

    Args:
        error: standard error of the paired difference.
        confidence: one minus the level of the test.
    """
    normal = NormalDist()
    quantiles: float = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(POWER)
    return quantiles * error


def fewest_rows(confidence: float) -> int:
    """Return the fewest rows, all won by the same model, by which McNemar's test finds a difference."""
    return next(count for count in range(1, 1100) if 2 / 2**count <= 1 - confidence + TOLERANCE)


def differing_rows(before: Sequence[Unit], after: Sequence[Unit]) -> int:
    """Return how many rows have another score in the other model."""
    return sum(one.numerator != other.numerator for one, other in zip(before, after, strict=True))


def _columns(units: Sequence[Unit]) -> Floats:
    return np.array([[unit.numerator for unit in units], [unit.denominator for unit in units]], dtype=np.float64)


def _difference(middle: Floats, half: Floats, signs: Floats) -> Floats:
    """Return the difference of the ratios for each row of signs; 1 leaves a unit, −1 exchanges its scores.

    einsum adds in a fixed order; a BLAS product may not, on another number of threads.
    """
    top, bottom = np.einsum("ru,u->r", signs, half[0]), np.einsum("ru,u->r", signs, half[1])
    result: Floats = (middle[0] + top) / (middle[1] + bottom) - (middle[0] - top) / (middle[1] - bottom)
    return result
