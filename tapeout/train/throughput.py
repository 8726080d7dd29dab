"""Speed of a training run, measured over its last reports and not since its start, which had other speeds."""

import time
from collections import deque
from dataclasses import dataclass, field

import torch

from tapeout.config.training import Training

WINDOW = 5
"""Reports over which the speed is averaged."""
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "B200": 2250}
"""Dense bfloat16 TFLOP/s of a GPU by its data sheet; 8-bit products have twice as many."""


@dataclass
class Throughput:
    """Positions, trained tokens and arithmetic per second, of all ranks together.

    Attributes:
        job: the training run.
        flops_per_position: operations of a forward and backward pass for one position.
        device_name: name of the GPU; empty on a CPU.
        marks: time (s), positions, trained tokens and seconds waited for data at the last reports.
    """

    job: Training
    flops_per_position: float
    device_name: str
    marks: deque[tuple[float, int, int, float]] = field(default_factory=lambda: deque(maxlen=WINDOW + 1))

    def start(self, step: int, tokens: int, waited: float) -> None:
        """Start to measure after a step, at a number of trained tokens and of seconds waited for data."""
        self.marks.append((time.monotonic(), self._positions(step), tokens, waited))

    def values(self, step: int, tokens: int, waited: float) -> dict[str, float | str]:
        """Return what to report after a step.

        Trained tokens are those with loss mask 1; positions include the others and padding, and are what the arithmetic
        is spent on. The share of the GPUs' peak (MFU) is left out for unknown GPUs; memory is rank 0's peak.
        """
        self.start(step, tokens, waited)
        first, first_positions, first_tokens, first_waited = self.marks[0]
        last, positions, last_tokens, last_waited = self.marks[-1]
        seconds = last - first
        per_second = (positions - first_positions) / seconds
        values: dict[str, float | str] = {"tokens_per_second": round((last_tokens - first_tokens) / seconds)}
        if positions - first_positions != last_tokens - first_tokens:
            values["positions_per_second"] = round(per_second)
        values["data_wait"] = f"{(last_waited - first_waited) / seconds:.1%}"
        if self.device_name:
            values["memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
            tflops = per_second * self.flops_per_position / 1e12
            values["tflops"] = round(tflops, 1)
            peak = next((peak for name, peak in PEAK_TFLOPS.items() if name in self.device_name), None)
            if peak is not None:
                twice = 2 if self.job.precision == "fp8" else 1
                values["mfu"] = round(tflops / (peak * twice * self.job.layout.world_size), 3)
        return values

    def _positions(self, step: int) -> int:
        return step * self.job.global_batch_size * self.job.seq_length
