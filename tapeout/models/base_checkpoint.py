"""Checkpoint of the base model's training; one that is resumed gives the bits of an uninterrupted one.

``TAPEOUT_STATE`` is the folder of the checkpoint; without it none is written. It is written when the training is asked
to stop (``TAPEOUT_STOP``), and every ``TAPEOUT_CHECKPOINT_SECONDS``. The order of the batches follows from the seed,
and no step draws a random number, so that weights, optimizer and log are everything that a step changes.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

STOPPED = 75
"""Exit status of a program that stopped on request: run it again and it resumes."""
DEFAULT_SECONDS = 1800.0
Log = list[dict[str, float]]


class BaseCheckpoint:
    """Saves the state of a training and resumes from it.

    Args:
        weights: trained tensors.
        optimizer: their optimizer.
    """

    def __init__(self, weights: list[Tensor], optimizer: torch.optim.Optimizer) -> None:
        self.weights, self.optimizer = weights, optimizer
        folder, stop = os.environ.get("TAPEOUT_STATE"), os.environ.get("TAPEOUT_STOP")
        self.path = Path(folder) / "base.pt" if folder else None
        self.stop = Path(stop) if folder and stop else None
        self.seconds = float(os.environ.get("TAPEOUT_CHECKPOINT_SECONDS", DEFAULT_SECONDS))
        self.saved = time.monotonic()
        if self.stop is not None:
            signal.signal(signal.SIGTERM, lambda *_: None)  # the runner also writes the file, which is read below

    def resume(self) -> Log:
        """Load the checkpoint, if there is one; return the log of the steps until then."""
        if self.path is None or not self.path.exists():
            return []
        state = torch.load(self.path, weights_only=True)
        with torch.no_grad():
            for weight, value in zip(self.weights, state["weights"], strict=True):
                weight.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        log: Log = state["log"]
        print(f"resuming from step {len(log)}", file=sys.stderr, flush=True)
        return log

    def after_step(self, log: Log) -> None:
        """Save if it is time, and stop if requested.

        Raises:
            SystemExit: with ``STOPPED``, if the training was asked to stop.
        """
        stop = self.stop is not None and self.stop.exists()
        if self.path is None or not (stop or time.monotonic() - self.saved >= self.seconds):
            return
        self._write(self.path, log)
        self.saved = time.monotonic()
        print(f"checkpoint saved at step {len(log)}", file=sys.stderr, flush=True)
        if stop:
            print(f"stopped at step {len(log)} on request", file=sys.stderr, flush=True)
            raise SystemExit(STOPPED)

    def _write(self, path: Path, log: Log) -> None:
        """Write the checkpoint under another name, flush it to disk and rename it: it is complete or absent."""
        unfinished = path.with_suffix(".tmp")
        state = {"weights": [w.detach() for w in self.weights], "optimizer": self.optimizer.state_dict(), "log": log}
        with open(unfinished, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
