"""Log of the training of a Hugging Face model, its progress, its stop, and its loss on the validation split."""

import sys
import time
from functools import partial
from typing import Any

import lightning.pytorch as lightning
import torch

from tapeout.config.automodel_lora import AutomodelLora
from tapeout.models.finite import Batch, check_value, check_weights
from tapeout.progress import report
from tapeout.train.automodel_batches import stack
from tapeout.train.batches import sequences
from tapeout.train.launch import STOPPED, Rank
from tapeout.train.metrics_journal import MetricsJournal
from tapeout.train.samples import Samples, TrainingData
from tapeout.train.spikes import report_spike

REPORTS = 50
"""Lines of progress in a training run."""


class AutoModelLog(lightning.Callback):  # type: ignore[misc]
    """Log each step and its loss spike, report progress, measure the validation loss, and stop on request."""

    def __init__(self, data: TrainingData, job: AutomodelLora, rank: Rank) -> None:
        """Start an empty log."""
        self.data, self.job, self.rank = data, job, rank
        self.steps: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []
        self.spikes: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.parts: list[tuple[float, float]] = []
        """Part of each micro-batch of this step in the loss, and that of its tokens in all."""
        self.weight = 0.0
        self.journal = MetricsJournal.configured(rank.first)
        self.step_started = self.gradient_norm = 0.0
        self.parameters = self.tokens = 0

    def keep_metric(self, name: str, value: Any, **_: Any) -> None:
        """Keep what NeMo logs; takes the place of Lightning's ``log``."""
        self.metrics[name] = value

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Count the trained weights, and take signals as requests to stop, from Lightning."""
        self.parameters = sum(weight.numel() for weight in pl_module.parameters() if weight.requires_grad)
        self.rank.stop.listen()
        self.journal.begin(0, self.job.max_steps)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note which part of the step's tokens a micro-batch has; NeMo removes the mask from it."""
        self.weight = float(batch["loss_mask"].sum()) / trainer.accumulate_grad_batches
        if not self.parts:
            self.step_started = time.monotonic()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Record the norm of the gradient before it is clipped."""
        gradients = [weight.grad for weight in pl_module.parameters() if weight.grad is not None]
        self.gradient_norm = float(torch.nn.utils.get_total_norm(gradients))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the micro-batch; after the last one of a step log it, and measure the validation loss if it is due.

        Raises:
            NonFinite: the loss, the norm of the gradient, the validation loss or a trained weight is not finite.
            SystemExit: the training was asked to stop before its last step.
        """
        self.parts.append((float(outputs["loss"]), self.weight))
        step = trainer.global_step
        if step == len(self.steps):
            return
        size, seconds = self.job.global_batch_size, time.monotonic() - self.step_started
        self.tokens += sum(int(self.data.train[index].mask.sum()) for index in range((step - 1) * size, step * size))
        loss = float(self.metrics["reduced_train_loss"])
        batch_of_step = partial(self._batch, step)
        check_value("loss", loss, step, batch_of_step)
        check_value("gradient norm", self.gradient_norm, step, batch_of_step)
        learning_rate = float(self.metrics["lr"])
        self.steps.append({"step": step, "loss": loss, "learning_rate": learning_rate, "tokens": self.tokens})
        self.spikes += report_spike(self.steps, partial(self._highest, step), printed=True, of_rank=False)
        self.parts = []
        if step == self.job.max_steps:
            trained = ((name, weight) for name, weight in pl_module.named_parameters() if weight.requires_grad)
            check_weights(trained, step)
        journaled = {**self.steps[-1], "gradient_norm": self.gradient_norm}
        journaled["positions_per_second"] = round(size * self.job.seq_length / seconds, 1)
        self.journal.append({**journaled, **self._validate(pl_module, step)})
        if step % max(1, self.job.max_steps // REPORTS) == 0:
            report(step, self.job.max_steps, loss=loss)
        if step < self.job.max_steps and self.rank.stop.requested():
            print(f"stopped at step {step} on request; the training begins again", file=sys.stderr, flush=True)
            raise SystemExit(STOPPED)

    def _validate(self, model: Any, step: int) -> dict[str, float]:
        """Measure the validation loss after every ``val_check_interval`` steps and after the last one; return it."""
        if self.data.validation is None or (step % self.data.val_check_interval and step < self.job.max_steps):
            return {}
        loss = validation_loss(model, self.data.validation, self.job.micro_batch_size)
        check_value("validation loss", loss, step, partial(self._batch, step))
        self.validation.append({"step": step, "loss": loss})
        return {"validation_loss": loss}

    def _batch(self, step: int) -> Batch:
        """Return the rows of a step."""
        size = self.job.global_batch_size
        return Batch(self.data.names(range((step - 1) * size, step * size)))

    def _highest(self, step: int) -> tuple[float, int, list[str]]:
        """Return loss, rank and rows of the micro-batch with the highest loss."""
        losses = [part / weight for part, weight in self.parts]
        number = max(range(len(losses)), key=losses.__getitem__)
        return losses[number], 0, self.data.names(sequences(self.job, step, 0, number))

    def content(self) -> dict[str, Any]:
        """Return the content of train_log.json, which has ``spikes`` only if there were any."""
        content: dict[str, Any] = {"steps": self.steps, "validation": self.validation, "tokens": self.tokens}
        return {**content, "parameters": self.parameters, **({"spikes": self.spikes} if self.spikes else {})}


def validation_loss(model: Any, samples: Samples, size: int) -> float:
    """Return the token-weighted loss over all samples, read ``size`` at a time."""
    total, tokens = 0.0, 0
    model.eval()
    with torch.no_grad():
        for first in range(0, len(samples), size):
            part = [samples[index] for index in range(first, min(first + size, len(samples)))]
            batch = {name: tensor.to(model.device) for name, tensor in stack(part, 1.0).items()}
            total += float(model.validation_step(batch, 0))
            tokens += sum(int(sample.mask.sum()) for sample in part)
    model.train()
    return total / tokens
