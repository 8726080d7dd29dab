"""A loss far above those before it is a spike; noise, a slope and the first steps are none."""

import numpy as np
import pytest

from tapeout.train.spikes import WINDOW, report_spike, spike_median

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


def test_a_spike_is_logged_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{"step": step, "loss": 1.0} for step in range(1, WINDOW + 1)] + [{"step": 33, "loss": 9.0}]
    rows = [f"rows:{number}" for number in range(10)]
    highest = (9.5, 3, rows)
    assert report_spike(steps[:-1], lambda: highest, printed=True) == []
    (entry,) = report_spike(steps, lambda: highest, printed=True)
    values = {"step": 33, "loss": 9.0, "median": 1.0, "rank": 3, "micro_batch_loss": 9.5}
    assert entry == {**values, "documents": rows}
    assert report_spike(steps, lambda: highest, printed=True, of_rank=False) == [entry]
    assert report_spike(steps, lambda: highest, printed=False) == [entry]
    printed = "loss spike at step 33: 9.0000, median of 32 steps before 1.0000; highest in a micro-batch{}, 9.5000: {}"
    names = f"{', '.join(rows[:8])} and 2 more"
    lines = [printed.format(" of rank 3", names), printed.format("", names)]
    assert capsys.readouterr().err.splitlines() == lines
