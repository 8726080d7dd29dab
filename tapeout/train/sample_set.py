"""Samples in the form in which NeMo takes them."""

from typing import Any

import lightning.pytorch as lightning
import nemo.lightning as nl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tapeout.config.training import Training
from tapeout.train.samples import Samples


class SampleSet(Dataset[dict[str, Tensor]]):
    """One sequence as a dictionary of tensors.

    A packed sequence gets an attention mask [1, s, s], true where attention is forbidden: the future and other rows.
    Without one the attention is plainly causal.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.positions = torch.arange(samples.tokens.shape[1])

    def __len__(self) -> int:
        return len(self.samples.tokens)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        item = {
            "tokens": torch.from_numpy(self.samples.tokens[place]),
            "labels": torch.from_numpy(self.samples.labels[place]),
            "loss_mask": torch.from_numpy(self.samples.mask[place]),
            "position_ids": self.positions,
        }
        if self.samples.segments is not None:
            segment = torch.from_numpy(self.samples.segments[place])
            item["attention_mask"] = ((segment[:, None] != segment[None, :]) | self.future)[None]
        return item

    @property
    def future(self) -> Tensor:
        """[s, s], true above the diagonal."""
        return self.positions[None, :] > self.positions[:, None]


class SampleModule(lightning.LightningDataModule):
    """NeMo's view of the samples: sequential, so that the order is the samples' own in every layout (F46)."""

    def __init__(self, samples: Samples, job: Training, tokenizer: Any) -> None:
        super().__init__()
        self.samples = samples
        self.tokenizer = tokenizer
        self.seq_length = job.seq_length
        self.micro_batch_size, self.global_batch_size = job.micro_batch, job.global_batch
        self.data_sampler = nl.MegatronDataSampler(
            seq_len=job.seq_length,
            micro_batch_size=job.micro_batch,
            global_batch_size=job.global_batch,
            output_log=False,
        )

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The loader that NeMo gives its own sampler."""
        return DataLoader(SampleSet(self.samples), num_workers=0)
