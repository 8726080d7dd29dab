"""Loader of samples, which processes can read ahead of the training step."""

import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tapeout.nemo.attention import row_boundaries
from tapeout.train.launch import STOP_SIGNALS
from tapeout.train.samples import Samples, check_sample

BATCHES_AHEAD = 4
"""Micro-batches that each worker reads ahead."""


class SampleDataset(Dataset[dict[str, Tensor]]):  # type: ignore[misc]
    """Sequences as dictionaries of tensors; ``collate`` makes batches of them."""

    def __init__(self, samples: Samples) -> None:
        """Wrap samples, which are computed when they are read."""
        self.samples = samples

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one sequence with the names that Megatron uses.

        Raises:
            NotEnoughData: no token of it has a loss.
        """
        sample = check_sample(self.samples[index], index)
        item = {
            "tokens": torch.from_numpy(sample.tokens),
            "labels": torch.from_numpy(sample.labels),
            "loss_mask": torch.from_numpy(sample.mask),
            "position_ids": torch.arange(len(sample.tokens)),
        }
        if sample.segments is not None:
            item["segments"] = torch.from_numpy(sample.segments)
        return item | {name: torch.tensor(value) for name, value in sample.values.items()}


def collate(items: list[dict[str, Tensor]], positions: Tensor | None = None) -> dict[str, Tensor]:
    """Stack sequences, and add offsets whose number a GPU could know only by waiting: those of rows and of tokens.

    Args:
        items: the sequences.
        positions: the positions of each that this rank has; None for all (``tapeout.nemo.context``).

    Returns:
        the batch, [b, s] each (``Sample.values``: [b]), with ``loss_positions``, the offsets of the tokens that count
        [n]. Packed sequences have an ``attention_mask``, which holds the boundaries of their rows in the whole
        sequences; without it attention is causal.
    """
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    segments = batch.pop("segments", None)
    if positions is not None:
        batch = {name: tensor[:, positions] if tensor.dim() > 1 else tensor for name, tensor in batch.items()}
    batch["loss_positions"] = batch["loss_mask"].flatten().nonzero()[:, 0]
    if segments is not None:
        batch["attention_mask"] = row_boundaries(segments)
    return batch


class TimedLoader(DataLoader[dict[str, Tensor]]):  # type: ignore[misc]
    """Loader that measures how long the training waited for it; Lightning iterates over it once."""

    waited = 0.0
    """Seconds."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the micro-batches of this rank."""
        batches = super().__iter__()
        while True:
            started = time.monotonic()
            batch = next(batches, None)
            self.waited += time.monotonic() - started
            if batch is None:
                return
            yield batch


def loader(
    dataset: SampleDataset, batches: Any, workers: int, pinned: bool = False, positions: Tensor | None = None
) -> TimedLoader:
    """Return a loader of batches of indices; neither their order nor their content depends on the workers.

    Batches in ``pinned`` memory are copied to a GPU while it computes; ``collate`` describes ``positions``.
    """
    ahead = {"prefetch_factor": BATCHES_AHEAD, "worker_init_fn": _ignore_signals} if workers else {}
    stack = partial(collate, positions=positions)
    return TimedLoader(
        dataset, batch_sampler=batches, num_workers=workers, collate_fn=stack, pin_memory=pinned, **ahead
    )


def _ignore_signals(_: int) -> None:
    """Leave requests to stop to the rank; a worker ends when its rank does."""
    for number in (signal.SIGINT, *STOP_SIGNALS):
        signal.signal(number, signal.SIG_IGN)
