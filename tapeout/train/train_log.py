"""Log of a training run, its progress, and its loss on the validation split."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning.pytorch as lightning
import torch
from megatron.core import parallel_state
from torch import distributed

from tapeout.config.training import Training
from tapeout.models.finite import check_value, check_weights
from tapeout.nemo.forward import ForwardStep, LossReduction, parameter_count
from tapeout.nemo.pipeline import from_last_stage, summed_losses
from tapeout.progress import report
from tapeout.train.dataset import SampleDataset
from tapeout.train.launch import Rank
from tapeout.train.samples import Samples, TrainingData

REPORTS = 50
"""Lines of progress in a training run."""


class TrainLog(lightning.Callback):  # type: ignore[misc]
    """Prepare the loss, log each step, report progress, and measure the validation loss."""

    def __init__(
        self, rank: Rank, step: ForwardStep, reduction: LossReduction, data: TrainingData, job: Training
    ) -> None:
        """Start an empty log."""
        self.rank, self.step, self.reduction, self.data, self.job = rank, step, reduction, data, job
        self.steps: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []
        self.parameters = 0
        self.lr = 0.0
        self.tokens = 0
        self.start_time, self.start_tokens = 0.0, 0
        self.device = torch.device("cpu")

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Prepare the loss, now that the weights are loaded."""
        self.parameters = parameter_count(pl_module)
        self.device = trainer.strategy.root_device
        targets = torch.cat([torch.from_numpy(part.labels).flatten() for part in self.data.parts])
        self.step.prepare(pl_module, targets)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start to measure the throughput."""
        self.start_time, self.start_tokens = time.monotonic(), self.tokens

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Record the learning rate of this step; when the step has ended, the optimizer has the next one's."""
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the step, measure the validation loss if it is due, and report progress now and then.

        Raises:
            NonFinite: the loss, the norm of the gradient, the validation loss or a trained weight is not finite.
        """
        step = trainer.global_step
        loss, tokens = from_last_stage([float(outputs["loss"]), self.reduction.tokens], self.device)
        self.tokens += int(tokens)
        names = partial(self._batch_names, step)
        check_value("loss", loss, step, names)
        check_value("gradient norm", float(trainer.callback_metrics["grad_norm"]), step, names)
        if step == self.job.max_steps:
            check_weights(pl_module.named_parameters(), step)
        self.steps.append({"step": step, "loss": loss, "learning_rate": self.lr, "tokens": self.tokens})
        interval = self.data.val_check_interval
        if self.data.validation is not None and (step % interval == 0 or step == self.job.max_steps):
            validation = self.validation_loss(pl_module, self.data.validation)
            check_value("validation loss", validation, step, names)
            self.validation.append({"step": step, "loss": validation})
        if self.rank.first and step % max(1, self.job.max_steps // REPORTS) == 0:
            throughput = (self.tokens - self.start_tokens) / (time.monotonic() - self.start_time)
            report(step, self.job.max_steps, loss=loss, tokens_per_second=round(throughput))

    def _batch_names(self, step: int) -> Sequence[str]:
        """Return the names of the documents or rows in the batch of a step."""
        size = self.job.global_batch_size
        return self.data.names_in(range((step - 1) * size, step * size))

    def validation_loss(self, model: Any, samples: Samples) -> float:
        """Return the token-weighted loss over all samples; each replica computes a part of it."""
        replica, replicas = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
        dataset = SampleDataset(samples)
        batches = list(torch.utils.data.BatchSampler(range(len(dataset)), self.job.micro_batch_size, drop_last=False))
        own = batches[replica::replicas]
        loader = torch.utils.data.DataLoader(dataset, batch_sampler=own)
        count = int(sum(samples.mask[batch].sum() for batch in own))
        model.eval()
        with torch.no_grad():
            on_device = ({name: tensor.to(self.device) for name, tensor in batch.items()} for batch in loader)
            total = summed_losses(self.step, model, on_device)
        model.train()
        if replicas > 1:
            both = torch.tensor([total, count], dtype=torch.float64, device=self.device)
            distributed.all_reduce(both, group=parallel_state.get_data_parallel_group())
            total, count = float(both[0]), int(both[1])
        return total / count

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint contains of the log."""
        return {"steps": self.steps, "validation": self.validation, "tokens": self.tokens}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from the ``state`` of a checkpoint."""
        self.steps, self.validation, self.tokens = state["steps"], state["validation"], state["tokens"]

    def content(self) -> dict[str, Any]:
        """Return the content of train_log.json."""
        return {**self.state(), "parameters": self.parameters}
