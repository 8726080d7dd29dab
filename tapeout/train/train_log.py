"""The log of a training, its progress, and its loss on held-out rows."""

import time
from typing import Any

import lightning.pytorch as lightning
import torch
from megatron.core import parallel_state
from torch import distributed

from tapeout.config.training import Training
from tapeout.nemo.loss import split_vocabulary
from tapeout.nemo.step import MaskedStep, SummedLoss, megatron_model, output_weight, parameter_count
from tapeout.progress import report
from tapeout.train.launch import Rank
from tapeout.train.sample_set import SampleSet
from tapeout.train.samples import Samples

REPORTS = 50


class Journal(lightning.Callback):
    """Prepare the loss, write the log of the steps, show progress, and measure the validation loss."""

    def __init__(self, rank: Rank, step: MaskedStep, reduction: SummedLoss, samples: Samples, job: Training) -> None:
        self.rank, self.step, self.reduction, self.samples, self.job = rank, step, reduction, samples, job
        self.validation_samples: Samples | None = None
        self.validate_every = 0
        self.steps: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []
        self.parameters = 0
        self.rate = 0.0
        self.tokens = 0
        self.begun, self.begun_tokens = 0.0, 0
        self.device = torch.device("cpu")

    def all_samples(self) -> list[Samples]:
        """What is trained on, and what is measured on."""
        return [self.samples] if self.validation_samples is None else [self.samples, self.validation_samples]

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Now the base model's weights are loaded: see which rows of the output layer are equal."""
        gpt = megatron_model(pl_module)
        self.parameters = parameter_count(gpt)
        self.device = trainer.strategy.root_device
        targets = torch.cat([torch.from_numpy(part.labels).flatten() for part in self.all_samples()])
        self.step.vocabulary = split_vocabulary(output_weight(gpt), targets)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to measure the speed."""
        self.begun, self.begun_tokens = time.monotonic(), self.tokens

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Remember the learning rate of this step; when the step has ended it is the next one's."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """One line of the log, and now and then a line of progress."""
        step = trainer.global_step
        self.tokens += self.reduction.tokens
        loss = float(outputs["loss"])
        self.steps.append({"step": step, "loss": loss, "learning_rate": self.rate, "tokens": self.tokens})
        if self.validate_every and (step % self.validate_every == 0 or step == self.job.steps):
            self.validation.append({"step": step, "loss": self.validation_loss(pl_module)})
        if self.rank.first and step % max(1, self.job.steps // REPORTS) == 0:
            speed = (self.tokens - self.begun_tokens) / (time.monotonic() - self.begun)
            report(step, self.job.steps, loss=loss, tokens_per_second=round(speed))

    def validation_loss(self, model: Any) -> float:
        """Token-weighted loss over the whole validation split (F51), of which each replica measures its share."""
        assert self.validation_samples is not None
        replica, replicas = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
        data = SampleSet(self.validation_samples)
        batches = list(torch.utils.data.BatchSampler(range(len(data)), self.job.micro_batch, drop_last=False))
        total, count = 0.0, 0
        model.eval()
        with torch.no_grad():
            for batch in torch.utils.data.DataLoader(data, batch_sampler=batches[replica::replicas]):
                batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
                total += float(self.step(model, batch))
                count += int(batch["loss_mask"].sum())
        model.train()
        if replicas > 1:
            both = torch.tensor([total, count], dtype=torch.float64, device=self.device)
            distributed.all_reduce(both, group=parallel_state.get_data_parallel_group())
            total, count = float(both[0]), int(both[1])
        return total / count

    def state(self) -> dict[str, Any]:
        """What the steps so far have left here."""
        return {"steps": self.steps, "validation": self.validation, "tokens": self.tokens}

    def load(self, state: dict[str, Any]) -> None:
        """Go on after a ``state``."""
        self.steps, self.validation, self.tokens = state["steps"], state["validation"], state["tokens"]

    def content(self) -> dict[str, Any]:
        """Content of train_log.json."""
        return {**self.state(), "parameters": self.parameters}
