"""Samples in the form that NeMo reads."""

from typing import Any

import lightning.pytorch as lightning
import nemo.lightning as nl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tapeout.config.training import Training
from tapeout.train.samples import Samples


class SampleDataset(Dataset[dict[str, Tensor]]):  # type: ignore[misc]
    """Sequences as dictionaries of tensors.

    A packed sequence has an attention mask [1, s, s], true where attention is forbidden: later positions and other
    rows. Without a mask attention is causal.
    """

    def __init__(self, samples: Samples) -> None:
        """Wrap samples without a copy."""
        self.samples = samples
        self.positions = torch.arange(samples.tokens.shape[1])

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.samples.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one sequence with the names that Megatron uses."""
        item = {
            "tokens": torch.from_numpy(self.samples.tokens[index]),
            "labels": torch.from_numpy(self.samples.labels[index]),
            "loss_mask": torch.from_numpy(self.samples.mask[index]),
            "position_ids": self.positions,
        }
        if self.samples.segments is not None:
            segment = torch.from_numpy(self.samples.segments[index])
            later = self.positions[None, :] > self.positions[:, None]
            item["attention_mask"] = ((segment[:, None] != segment[None, :]) | later)[None]
        return item


class SampleModule(lightning.LightningDataModule):  # type: ignore[misc]
    """NeMo's data module; reads sequentially, so that the order is that of the samples in every layout."""

    def __init__(self, samples: Samples, job: Training, tokenizer: Any) -> None:
        """Prepare Megatron's sampler."""
        super().__init__()
        self.samples = samples
        self.tokenizer = tokenizer
        self.seq_length = job.seq_length
        self.micro_batch_size, self.global_batch_size = job.micro_batch_size, job.global_batch_size
        self.data_sampler = nl.MegatronDataSampler(
            seq_len=job.seq_length,
            micro_batch_size=job.micro_batch_size,
            global_batch_size=job.global_batch_size,
            output_log=False,
        )

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the loader, which NeMo gives its own sampler."""
        return DataLoader(SampleDataset(self.samples), num_workers=0)
