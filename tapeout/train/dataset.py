"""Samples in the form that NeMo reads."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import lightning.pytorch as lightning
import nemo.lightning as nl
import torch
from megatron.core import parallel_state
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader

from tapeout.config.training import Training
from tapeout.nemo.context import own_positions
from tapeout.program import StepFailed
from tapeout.train.loader import SampleDataset, TimedLoader, collate, loader
from tapeout.train.samples import Samples

WORKERS = "TAPEOUT_DATA_WORKERS"
"""Variable with the number of processes of each rank that read ahead; with 0 the rank reads between its steps."""
DEFAULT_WORKERS = {"cpu": 0, "gpu": 2}


class OrderedSampler(nl.MegatronDataSampler):  # type: ignore[misc]
    """Megatron's sampler, which reads the samples in their order, with a loader that reads ahead."""

    def __init__(self, job: Training) -> None:
        """Divide the samples into the batches of a job."""
        super().__init__(
            seq_len=job.seq_length,
            micro_batch_size=job.micro_batch_size,
            global_batch_size=job.global_batch_size,
            output_log=False,
        )
        self.workers = _workers(DEFAULT_WORKERS[job.layout.accelerator])
        self.pinned = job.layout.accelerator == "gpu"
        self.loader: TimedLoader | None = None

    def transform_dataloader(self, dataloader: Any, consumed_samples: int = 0) -> TimedLoader:
        """Return the loader of this rank's micro-batches."""
        batches = super().transform_dataloader(dataloader, consumed_samples).batch_sampler
        self.loader = loader(dataloader.dataset, batches, self.workers, self.pinned, own_positions(self.seq_len))
        return self.loader

    @property
    def waited(self) -> float:
        """Seconds that the training has waited for samples."""
        return self.loader.waited if self.loader is not None else 0.0


def own_batches(samples: Samples, job: Training, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Yield micro-batches of all samples, each once; each replica of the model gets a part of them.

    They are those of the training, where ``samples`` begin as its samples do.
    """
    replica, replicas = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
    dataset = SampleDataset(samples)
    batches = list(BatchSampler(range(len(dataset)), job.micro_batch_size, drop_last=False))
    stack = partial(collate, positions=own_positions(job.seq_length))
    for batch in DataLoader(dataset, batch_sampler=batches[replica::replicas], collate_fn=stack):
        yield {name: tensor.to(device) for name, tensor in batch.items()}


def _workers(default: int) -> int:
    """Return the number of processes that read ahead.

    Raises:
        StepFailed: the variable is not a number.
    """
    given = os.environ.get(WORKERS) or str(default)
    if not given.isdecimal():
        raise StepFailed(f"{WORKERS} is {given!r}, not a number of processes.", "Set it to 0 or more, or unset it.")
    return int(given)


class SampleModule(lightning.LightningDataModule):  # type: ignore[misc]
    """NeMo's data module; reads sequentially, so that the order is that of the samples in every layout."""

    def __init__(self, samples: Samples, job: Training, tokenizer: Any) -> None:
        """Prepare Megatron's sampler."""
        super().__init__()
        self.samples = samples
        self.tokenizer = tokenizer
        self.seq_length = job.seq_length
        self.micro_batch_size, self.global_batch_size = job.micro_batch_size, job.global_batch_size
        self.data_sampler = OrderedSampler(job)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the loader, which NeMo gives its own sampler."""
        return DataLoader(SampleDataset(self.samples))
