"""Loss spikes: when a loss is one, and which part of the batch it comes from."""

import statistics
from collections.abc import Sequence

WINDOW = 32
"""Steps with which a loss is compared."""
DEVIATIONS = 6.0
"""Robust standard deviations by which a spike exceeds the median of these steps."""
FRACTION = 0.1
"""Fraction of the median by which it exceeds the median at least."""
SIGMA = 1.4826
"""Standard deviation of a normal distribution, in median absolute deviations."""


def spike_median(losses: Sequence[float]) -> float | None:
    """Return the median of the losses before the last one if that one is a spike, else None.

    It is a spike if it exceeds the median of the ``WINDOW`` losses before it by more than ``DEVIATIONS`` robust
    standard deviations and by more than ``FRACTION`` of that median. There is none among the first ``WINDOW`` losses.
    """
    *before, last = losses[-WINDOW - 1 :]
    if len(before) < WINDOW:
        return None
    median = statistics.median(before)
    deviation = SIGMA * statistics.median(abs(loss - median) for loss in before)
    return median if last > median + max(DEVIATIONS * deviation, FRACTION * median) else None
