"""Log of a training run, its progress, and its loss on the validation split."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import lightning.pytorch as lightning
import torch
from megatron.core import parallel_state
from torch import Tensor, distributed

from tapeout.config.training import Training
from tapeout.config.validated_training import METRIC
from tapeout.models.finite import Batch, check_value, check_weights
from tapeout.nemo.float8 import RoundedWeights
from tapeout.nemo.forward import (
    ForwardStep,
    LossReduction,
    compile_layers,
    megatron_model,
    model_flops,
    parameter_count,
)
from tapeout.nemo.pipeline import forward_outputs, from_last_stage
from tapeout.progress import report
from tapeout.train.batches import sequences
from tapeout.train.dataset import own_batches
from tapeout.train.launch import Rank
from tapeout.train.metrics_journal import MetricsJournal
from tapeout.train.micro_batches import MicroBatch, losses_of_all
from tapeout.train.optimizers import torch_optimizers, trained_parameters
from tapeout.train.samples import Excerpt, Samples, TrainingData
from tapeout.train.selection import Entry, Selection
from tapeout.train.spikes import report_spike
from tapeout.train.throughput import Throughput

Result = TypeVar("Result")

REPORTS = 50
"""Lines of progress in a training run."""


class TrainLog(lightning.Callback):  # type: ignore[misc]
    """Prepare the loss, log each step and its loss spike, report progress, and measure the validation loss."""

    def __init__(
        self, rank: Rank, step: ForwardStep, reduction: LossReduction, data: TrainingData, job: Training
    ) -> None:
        """Start an empty log."""
        self.rank, self.step, self.reduction, self.data, self.job = rank, step, reduction, data, job
        self.steps: list[dict[str, float]] = []
        self.validation: list[Entry] = []
        self.selection = Selection(job, data.validation_categories)
        self.spikes: list[dict[str, Any]] = []
        self.parameters = 0
        self.lr = 0.0
        self.tokens = 0
        self.device = torch.device("cpu")
        self.metrics: dict[str, Any] = {}
        self.journal = MetricsJournal.configured(rank.first)
        self.step_started = 0.0

    def keep_metric(self, name: str, value: Any, **_: Any) -> None:
        """Keep what NeMo logs.

        This takes the place of Lightning's ``log``, which copies every number to the GPU and waits for it.
        """
        self.metrics[name] = value

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Prepare the loss, now that the weights are loaded."""
        self.parameters = parameter_count(pl_module, trained=True)
        self.device = trainer.strategy.root_device
        self.step.prepare(pl_module, self.data.targets())
        if self.job.precision == "fp8":
            RoundedWeights(megatron_model(pl_module), torch_optimizers(trainer))
        if self.device.type == "cuda":
            compile_layers(pl_module, self.job.seq_length, self.device)
        self._without_gradients(pl_module, lambda: self.step.measure(pl_module, self.data.train, self.job, self.device))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start to measure the throughput."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        packed = self.data.train[0].segments is not None  # attention within packed rows is short, and not counted
        attended = 0 if packed else self.job.seq_length
        flops = model_flops(pl_module, parameter_count(pl_module), self.parameters, attended)
        self.throughput = Throughput(self.job, flops, name)
        self.throughput.start(trainer.global_step, self.tokens, trainer.datamodule.data_sampler.waited)
        self.journal.begin(trainer.global_step, self.job.max_steps)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Record time and learning rate of this step; when the step has ended, the optimizer has the next one's."""
        self.step_started = time.monotonic()
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the step, measure the validation loss if it is due, and report progress now and then.

        Raises:
            NonFinite: the loss, the norm of the gradient, the validation loss or a trained weight is not finite.
        """
        step = trainer.global_step
        loss, tokens, *further = from_last_stage(self.reduction.step_values(), self.device)
        metrics = dict(zip(self.reduction.METRICS, further, strict=True))
        self.tokens += int(tokens)
        seconds = time.monotonic() - self.step_started
        batch_of_step = partial(self._batch, step)
        check_value("loss", loss, step, batch_of_step)
        check_value("gradient norm", self.metrics["grad_norm"], step, batch_of_step)
        self.steps.append({"step": step, "loss": loss, "learning_rate": self.lr, "tokens": self.tokens, **metrics})
        self.spikes += report_spike(self.steps, partial(self._highest, step), printed=self.rank.first)
        self._check_last(pl_module, step)
        journaled = {**self.steps[-1], "gradient_norm": float(self.metrics["grad_norm"])}
        journaled["positions_per_second"] = round(self.job.global_batch_size * self.job.seq_length / seconds, 1)
        interval = self.data.val_check_interval
        if self.data.validation is not None and (step % interval == 0 or step == self.job.max_steps):
            entry = self.selection.agreed({"step": step, **self._validation(pl_module, self.data.validation)})
            check_value("validation loss", entry["loss"], step, batch_of_step)
            self.validation.append(entry)
            journaled[METRIC] = entry["loss"]
            journaled |= {f"{METRIC}/{name}": part["loss"] for name, part in entry.get("categories", {}).items()}
            self.selection.update(self.validation, trained_parameters(trainer.strategy.megatron_parallel))
        self.journal.append(journaled)
        if self.ended and self.selection.active:
            self._select(trainer, pl_module, step)
        if self.rank.first and step % max(1, self.job.max_steps // REPORTS) == 0:
            waited = trainer.datamodule.data_sampler.waited
            values = {**metrics, **self.throughput.values(step, self.tokens, waited)}
            report(step, self.job.max_steps, loss=loss, **values)

    def _check_last(self, model: Any, step: int) -> None:
        """Check the weights after the last update, which no later step would notice.

        Raises:
            NonFinite: they are not finite, or the loss of the last batch with them is not.
        """
        if step < self.job.max_steps:
            return
        check_weights(model.named_parameters(), step)
        if self.data.validation is None:
            count = len(self.data.train)
            last = Excerpt(self.data.train, range(count - self.job.global_batch_size, count))
            loss = self.validation_loss(model, last)
            check_value("loss after the last update", loss, step, partial(self._batch, step))

    @property
    def last_step(self) -> int:
        """Number of the last step that was logged, 0 before the first."""
        return int(self.steps[-1]["step"]) if self.steps else 0

    @property
    def ended(self) -> bool:
        """True if the latest logged step is the last one of the training."""
        return self.last_step == self.job.max_steps or self.selection.exhausted(self.validation)

    def _select(self, trainer: Any, model: Any, step: int) -> None:
        """End the training with the selected weights, which are written next."""
        self.selection.restore(trained_parameters(trainer.strategy.megatron_parallel))
        check_weights(model.named_parameters(), step)
        trainer.should_stop = True
        self.journal.begin(step, step)  # the total is known now
        if self.rank.first:
            found = self.selection.report(self.validation)
            message = f"ended by {found['ended_by']} after step {step}; the model is that of step {found['step']}"
            print(f"{message}, {found['monitor']} {found['value']:.4f}", file=sys.stderr, flush=True)

    def _batch(self, step: int) -> Batch:
        """Return the documents or rows with a loss that is not finite, and the ranks that read them.

        If all losses are finite, return those of the whole batch. All ranks call this together.
        """
        bad = [part for part in self._micro_batches() if not math.isfinite(part.loss)]
        if bad:
            return Batch(
                [name for part in bad for name in self._names(step, part)], sorted({part.rank for part in bad})
            )
        size = self.job.global_batch_size
        return Batch(self.data.names(range((step - 1) * size, step * size)))

    def _highest(self, step: int) -> tuple[float, int, list[str]]:
        """Return loss, rank and documents or rows of the micro-batch with the highest loss; all ranks call this."""
        part = max(self._micro_batches(), key=lambda part: part.loss)
        return part.loss, part.rank, self._names(step, part)

    def _micro_batches(self) -> list[MicroBatch]:
        """Return the micro-batches of the latest step; all ranks call this together."""
        return losses_of_all(self.reduction.micro_batches, self.device)

    def _names(self, step: int, part: MicroBatch) -> list[str]:
        """Return the documents or rows of a micro-batch."""
        return self.data.names(sequences(self.job, step, part.replica, part.number))

    def _validation(self, model: Any, samples: Samples) -> Entry:
        """Return the loss on the validation split; if wanted, with loss and tokens of each category."""
        if not self.data.validation_categories:
            return {"loss": self.validation_loss(model, samples)}
        sums = {name: self._summed_loss(model, part) for name, part in self.data.validation_categories.items()}
        total, count = (sum(column) for column in zip(*sums.values(), strict=True))
        categories = {name: {"loss": part / tokens, "tokens": tokens} for name, (part, tokens) in sums.items()}
        return {"loss": total / count, "categories": categories}

    def validation_loss(self, model: Any, samples: Samples) -> float:
        """Return the mean loss over all samples."""
        total, count = self._summed_loss(model, samples)
        return total / count

    def _summed_loss(self, model: Any, samples: Samples) -> tuple[float, int]:
        """Return the sum of the losses over all samples, and their number; each replica computes a part of them."""
        count = 0

        def counted() -> Iterator[dict[str, Tensor]]:
            nonlocal count
            for batch in own_batches(samples, self.job, self.device):
                count += int(self.reduction.count(batch))
                yield batch

        def summed() -> float:
            outputs = forward_outputs(self.step, model, counted())
            return sum((float(self.reduction.loss(output)) for output in outputs), 0.0)

        (total,) = from_last_stage([self._without_gradients(model, summed)], self.device)
        group = parallel_state.get_data_parallel_group(with_context_parallel=True)
        if group.size() > 1:
            both = torch.tensor([total, count], dtype=torch.float64, device=self.device)
            distributed.all_reduce(both, group=group)
            total, count = float(both[0]), int(both[1])
        return total, count

    def _without_gradients(self, model: Any, action: Callable[[], Result]) -> Result:
        """Return the result of an action with the model in evaluation mode."""
        model.eval()
        with torch.no_grad():
            result = action()
        model.train()
        return result

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint contains of the log."""
        return {"steps": self.steps, "validation": self.validation, "spikes": self.spikes, "tokens": self.tokens}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from the ``state`` of a checkpoint."""
        self.steps, self.validation, self.tokens = state["steps"], state["validation"], state["tokens"]
        self.spikes = state["spikes"]

    def content(self) -> dict[str, Any]:
        """Return the content of train_log.json.

        It has ``spikes`` and ``data`` only if there are any, and ``selection`` only if the validation loss decides
        about weights or end.
        """
        content = {**self.state(), "parameters": self.parameters}
        if not self.spikes:
            del content["spikes"]
        if self.selection.active:
            content["selection"] = self.selection.report(self.validation)
        return {**content, "data": dict(self.data.report)} if self.data.report else content
