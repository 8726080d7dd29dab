"""Micro-batches of the training of a Hugging Face model, and their loss."""

from collections.abc import Iterator

import lightning.pytorch as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from tapeout.config.automodel_lora import AutomodelLora
from tapeout.train.batches import micro_batches
from tapeout.train.samples import Sample, TrainingData, check_sample


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of tokens [n] times their weights, computed in 32 bits."""
    losses = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    return (losses * weights.flatten()).sum()


class Batches(IterableDataset[dict[str, Tensor]]):  # type: ignore[misc]
    """Micro-batches of all steps, in their order.

    Lightning averages the losses of the micro-batches of a step. Their weights make this mean the sum over all tokens
    of the step divided by the number of these tokens, whatever the size of a micro-batch.
    """

    def __init__(self, data: TrainingData, job: AutomodelLora) -> None:
        """Divide the samples into the batches of a job."""
        self.data, self.job = data, job

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the micro-batches."""
        size, part = self.job.global_batch_size, self.job.micro_batch_size
        for start in range(0, self.job.max_steps * size, size):
            samples = [check_sample(self.data.train[index], index) for index in range(start, start + size)]
            tokens = sum(int(sample.mask.sum()) for sample in samples)
            for first in range(0, size, part):
                yield stack(samples[first : first + part], micro_batches(self.job) / tokens)


class BatchModule(lightning.LightningDataModule):  # type: ignore[misc]
    """Lightning's data module."""

    def __init__(self, data: TrainingData, job: AutomodelLora) -> None:
        """Take the samples of a job."""
        super().__init__()
        self.seq_length = job.seq_length
        self.micro_batch_size, self.global_batch_size = job.micro_batch_size, job.global_batch_size
        self.batches = Batches(data, job)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the loader, which reads between the steps."""
        return DataLoader(self.batches, batch_size=None)


def stack(samples: list[Sample], weight: float) -> dict[str, Tensor]:
    """Return a micro-batch as ``HFAutoModelForCausalLM`` reads it.

    Labels are the next tokens already: its loss, unlike that of transformers, does not shift them. A token sees the
    earlier ones of its own row; padding sees only itself, and its weight is 0.

    Args:
        samples: the sequences, all of s tokens.
        weight: weight of a token that counts.

    Returns:
        ``input_ids``, ``labels`` and ``loss_mask`` [b, s], and ``attention_mask`` [b, 1, s, s], which is added to the
        scores.
    """
    tokens, labels, masks = (
        torch.stack([torch.from_numpy(getattr(sample, name)) for sample in samples])
        for name in ("tokens", "labels", "mask")
    )
    rows = torch.stack([_rows(sample) for sample in samples])
    length = tokens.shape[1]
    visible = (rows[:, :, None] == rows[:, None, :]) & (rows[:, :, None] >= 0)
    visible = (visible & torch.ones(length, length, dtype=torch.bool).tril()) | torch.eye(length, dtype=torch.bool)
    hidden = torch.full(visible.shape, torch.finfo(torch.float32).min).masked_fill(visible, 0.0)
    return {
        "input_ids": tokens,
        "labels": labels,
        "loss_mask": masks.float() * weight,
        "attention_mask": hidden[:, None],
    }


def _rows(sample: Sample) -> Tensor:
    """Return the row of each token [s]; one row if the sequence is not packed."""
    return torch.zeros(len(sample.tokens)) if sample.segments is None else torch.from_numpy(sample.segments)
