"""Learning-rate schedules, by the key ``schedule`` of a training.

All begin with W = ``warmup_steps`` steps of linear warm-up: step k, from 1, has k / (W + 1) of the peak. What follows:

* ``cosine``: half a cosine, which would reach the minimum one step after the last.
* ``constant``: the peak.
* ``wsd``: the peak, then D = ``decay_steps`` steps of linear decay, of which step k is k / (D + 1) of the way from the
  peak to the minimum. Hu et al. (MiniCPM, arXiv 2404.06395) leave the form of the decay open.
"""

from typing import Any

import nemo.lightning as nl
from nemo.core.optim.lr_scheduler import PolynomialHoldDecayAnnealing
from nemo.lightning.pytorch.optim.base import LRSchedulerModule

from tapeout.config.training import Training


class WarmupStableDecayScheduler(LRSchedulerModule):  # type: ignore[misc]
    """NeMo's scheduler with a linear decay; NeMo's module for it has no option for the warm-up and the stable steps."""

    def __init__(self, max_steps: int, warmup_steps: int, decay_steps: int, min_lr: float) -> None:
        """Keep the options; NeMo creates the scheduler when the optimizer exists."""
        super().__init__()
        self.max_steps, self.warmup_steps, self.decay_steps, self.min_lr = max_steps, warmup_steps, decay_steps, min_lr

    def scheduler(self, model: Any, optimizer: Any) -> dict[str, Any]:
        """Return Lightning's description of the scheduler, which counts steps from 0."""
        scheduler = PolynomialHoldDecayAnnealing(
            optimizer,
            max_steps=self.max_steps,
            warmup_steps=self.warmup_steps,
            hold_steps=self.max_steps - self.decay_steps - 1 - self.warmup_steps,
            power=1.0,
            min_lr=self.min_lr,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1}}


def learning_rate(job: Training) -> LRSchedulerModule:
    """Return NeMo's scheduler of a training."""
    common: dict[str, Any] = {"max_steps": job.max_steps, "warmup_steps": job.warmup_steps}
    if job.schedule == "constant":
        return nl.lr_scheduler.WarmupPolicyScheduler(**common)
    common["min_lr"] = job.lr * job.min_lr_fraction
    if job.decay_steps is not None:  # wsd
        return WarmupStableDecayScheduler(**common, decay_steps=job.decay_steps)
    return nl.lr_scheduler.CosineAnnealingScheduler(**common, constant_steps=0)
