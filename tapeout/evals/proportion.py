"""Interval of a share of rows (Wilson 1927)."""

from math import sqrt
from statistics import NormalDist

from tapeout.evals.bootstrap import Estimate


def wilson(successes: int, rows: int, confidence: float) -> Estimate:
    """A share with its score interval, which has a width where no row or every row succeeds.

    A bootstrap draws nothing but equal rows there, and says that chance could not have given another share.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z * sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == rows else centre + reach
    return Estimate(share, low, high)
