"""A loss far above those before it is a spike; noise, a slope and the first steps are none."""

import numpy as np
import pytest

from tapeout.train.spikes import WINDOW, spike_median

pytestmark = pytest.mark.environment("nemo")


def test_planted_spikes_are_found_and_nothing_else() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 300)
    losses = (8 - 5 * np.arange(300) / 300 + noise).tolist()
    planted = {40: 2.0, 200: 2.5}
    for step, height in planted.items():
        losses[step] += height
    found = {step: spike_median(losses[: step + 1]) for step in range(300)}
    assert [step for step, median in found.items() if median is not None] == sorted(planted)
    assert found[40] == pytest.approx(8 - 5 * 24 / 300, abs=0.1)


def test_there_is_no_spike_before_there_is_a_window_or_within_a_tenth() -> None:
    assert spike_median([1.0] * (WINDOW - 1) + [9.0]) is None
    assert spike_median([1.0] * WINDOW + [9.0]) == 1.0
    assert spike_median([1.0] * WINDOW + [1.09]) is None
