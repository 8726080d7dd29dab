"""Negative log-likelihood of alternative continuations, whose common beginning is computed once.

The choices of a question share its prompt with the examples, which is nearly all of their tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import torch

from tapeout.evals.generation import PreallocatedCache
from tapeout.evals.likelihood import Window, add_losses, nats

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Alternatives:
    """Windows that may have a common beginning."""

    windows: Sequence[Window]

    @property
    def common(self) -> int:
        """Number of tokens that all windows begin with, without the one that predicts the first counted token."""
        columns = zip(*(window.ids for window in self.windows), strict=False)
        equal = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
        return min([equal, *(window.first - 1 for window in self.windows)])

    @property
    def longest(self) -> int:
        """Tokens of the longest window."""
        return max(len(window.ids) for window in self.windows)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def nats_of_alternatives(
    network: "PreTrainedModel", groups: Sequence[Alternatives], sequences: int, batch_tokens: int
) -> list[float]:
    """Return what ``likelihood.nats`` returns for all windows of the groups, up to the last bits of float sums.

    Groups of similar length share a batch. Beginnings are padded on the left and masked, as in ``generation.greedy``.

    Args:
        network: causal language model with the interface of Hugging Face.
        groups: the windows, those with a common beginning together.
        sequences: number of sums.
        batch_tokens: tokens of a batch, all windows at their full length, but at least one group.
    """
    alone = [window for group in groups if not group.common for window in group.windows]
    totals = torch.tensor(nats(network, alone, sequences, batch_tokens), dtype=torch.float64)
    for batch in _batches([group for group in groups if group.common], batch_tokens):
        _add(totals, network, batch)
    values: list[float] = totals.tolist()
    return values


def _add(totals: torch.Tensor, network: "PreTrainedModel", batch: Sequence[Alternatives]) -> None:
    """Add the negative log-likelihoods of the windows of one batch."""
    device = network.device
    begins = [group.common for group in batch]
    rests = [(row, window) for row, group in enumerate(batch) for window in group.windows]
    width = max(begins)
    length = max(len(window.ids) - begins[row] for row, window in rests)
    cache = PreallocatedCache(width + length)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    ids = torch.zeros_like(mask)
    for row, (group, begin) in enumerate(zip(batch, begins, strict=True)):
        ids[row, width - begin :] = torch.tensor(group.windows[0].ids[:begin])
        mask[row, width - begin :] = 1
    _forward(network, cache, ids, mask, (mask.cumsum(1) - 1).clamp(min=0))
    rows = torch.tensor([row for row, _ in rests])
    cache.keep_rows(rows.to(device))
    ids = torch.zeros(len(rests), length, dtype=torch.long)
    counted, filled = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids)
    for index, (row, window) in enumerate(rests):
        begin, end = begins[row], len(window.ids) - begins[row]
        ids[index, :end] = torch.tensor(window.ids[begin:])
        filled[index, :end] = 1
        counted[index, window.first - begin : end] = True
    positions = torch.tensor(begins)[rows][:, None] + torch.arange(length)
    positions = positions.minimum((filled.sum(1) + torch.tensor(begins)[rows] - 1)[:, None])
    hidden = _forward(network, cache, ids, torch.cat([mask[rows], filled], 1), positions)
    sums = torch.tensor([window.sequence for _, window in rests])[counted.nonzero()[:, 0]]
    add_losses(totals, network, hidden[:, :-1][counted[:, 1:].to(device)], ids[counted], sums)


def _forward(
    network: "PreTrainedModel",
    cache: PreallocatedCache,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
) -> torch.Tensor:
    device = network.device
    output = network.model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=positions.to(device),
        past_key_values=cache,
        use_cache=True,
    )
    hidden: torch.Tensor = output.last_hidden_state
    return hidden


def _batches(groups: Sequence[Alternatives], batch_tokens: int) -> Iterator[list[Alternatives]]:
    """Yield batches of groups from long to short; equal lengths keep the order of the input."""
    batch: list[Alternatives] = []
    windows = 0
    for group in sorted(groups, key=lambda group: -group.longest):
        if batch and batch[0].longest * (windows + len(group.windows)) > batch_tokens:
            yield batch
            batch, windows = [], 0
        batch.append(group)
        windows += len(group.windows)
    if batch:
        yield batch
