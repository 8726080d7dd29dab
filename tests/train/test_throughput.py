"""The reported speed is that of the last reports, in positions, trained tokens and arithmetic."""

import pytest

from tapeout.config.training import Training
from tapeout.train import throughput
from tapeout.train.throughput import WINDOW, Throughput

pytestmark = pytest.mark.environment("nemo")


def test_speed_is_that_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(throughput.time, "monotonic", lambda: now[0])
    job = Training(global_batch_size=8, micro_batch_size=8, seq_length=100)
    half_of_the_peak = 989e12 / 2 / 400  # operations for a position, at 400 positions per second
    speed = Throughput(job, half_of_the_peak, device_name="NVIDIA H200")
    speed.start(0, 0, 0.0)
    now[0] = 1000.0  # a slow first step, as with compiling
    assert speed.values(1, 400, 500.0)["positions_per_second"] == 1
    for step in range(2, WINDOW + 3):  # 2 s for a step of 800 positions, of which 400 count
        now[0] += 2.0
        values = speed.values(step, 400 * step, 500.0 + step * 0.1)
    assert values == {
        "tokens_per_second": 200,
        "positions_per_second": 400,
        "tflops": 494.5,
        "mfu": 0.5,
        "memory_gib": 0.0,
        "data_wait": "5.0%",
    }
