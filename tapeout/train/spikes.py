"""Loss spikes: when a loss is one, and which part of the batch it comes from."""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tapeout.models.finite import first_names

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


def report_spike(
    steps: Sequence[Mapping[str, Any]],
    highest: Callable[[], tuple[float, int, Sequence[str]]],
    *,
    printed: bool,
    of_rank: bool = True,
) -> list[dict[str, Any]]:
    """Return the log's entry of a loss spike in the latest step, and print it; return nothing if there is none.

    Args:
        steps: the log's steps.
        highest: returns the highest loss of a micro-batch in the latest step, the rank that computed it, and its
            documents or rows; called only at a spike.
        printed: True if this process prints the spike.
        of_rank: True if the line states the rank.
    """
    losses, step = [entry["loss"] for entry in steps[-WINDOW - 1 :]], steps[-1]["step"]
    median = spike_median(losses)
    if median is None:
        return []
    loss, (part, rank, names) = losses[-1], highest()
    if printed:
        print(
            f"loss spike at step {step}: {loss:.4f}, median of {WINDOW} steps before {median:.4f}; highest in a "
            f"micro-batch{f' of rank {rank}' if of_rank else ''}, {part:.4f}: {first_names(names)}",
            file=sys.stderr,
            flush=True,
        )
    entry = {"step": step, "loss": loss, "median": median, "rank": rank, "micro_batch_loss": part}
    return [{**entry, "documents": list(names)}]
