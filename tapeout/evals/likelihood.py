"""Negative log-likelihood of tokens under a causal language model, in windows of its context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_HEAD_POSITIONS = 1024
"""Positions whose logits are computed at a time: 1,024 x 32,768 floats are 128 MiB."""


@dataclass(frozen=True)
class Window:
    """Consecutive tokens of a sequence, the input of one forward pass.

    Attributes:
        sequence: index of the sequence that the window is cut from.
        ids: the tokens, at most the model's context.
        first: index in ``ids`` of the first token whose prediction counts (at least 1); all later ones count too.
    """

    sequence: int
    ids: Sequence[int]
    first: int


def split(sequence: int, ids: Sequence[int], context: int, overlap: float) -> Iterator[Window]:
    """Cut a sequence into windows so that every token but the first is predicted exactly once.

    A window begins ``context - int(overlap * context)`` tokens after the one before it; tokens of both are only context
    in the later one. No token is predicted from fewer than ``int(overlap * context)`` tokens before it, unless the
    sequence has no more.
    """
    repeated = int(overlap * context)
    start, predicted = 0, 1
    while predicted < len(ids):
        end = min(start + context, len(ids))
        yield Window(sequence, ids[start:end], predicted - start)
        predicted = end
        # At least the last predicted token is repeated: the next one is predicted from it.
        start = end - max(repeated, 1)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def nats(network: "PreTrainedModel", windows: Sequence[Window], sequences: int, batch_tokens: int) -> list[float]:
    """Return the sum of negative natural log-likelihoods of the counted tokens of each sequence.

    Windows of similar length share a forward pass of at most ``batch_tokens`` tokens (but at least one window).
    Padding is on the right, where a causal model does not attend to it. Logits are computed for counted positions only,
    and summed in double precision.
    """
    totals, device = torch.zeros(sequences, dtype=torch.float64), network.device
    for batch in _batches(windows, batch_tokens):
        width = len(batch[0].ids)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        counted = torch.zeros(len(batch), width, dtype=torch.bool)
        for row, window in enumerate(batch):
            ids[row, : len(window.ids)] = torch.tensor(window.ids)
            counted[row, window.first : len(window.ids)] = True
        hidden = network.model(input_ids=ids.to(device), use_cache=False).last_hidden_state
        rows = torch.tensor([window.sequence for window in batch])[counted.nonzero()[:, 0]]
        add_losses(totals, network, hidden[:, :-1][counted[:, 1:].to(device)], ids[counted], rows)
    values: list[float] = totals.tolist()
    return values


def add_losses(
    totals: torch.Tensor, network: "PreTrainedModel", states: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor
) -> None:
    """Add the negative log-likelihood of each target to the total of its row.

    Args:
        totals: sums in double precision, on the CPU.
        network: the model, whose output layer is applied.
        states: hidden states, shape (targets, width).
        targets: tokens that follow these states.
        rows: index in ``totals`` of each target.
    """
    targets = targets.to(network.device)
    for start in range(0, len(targets), _HEAD_POSITIONS):
        part = slice(start, start + _HEAD_POSITIONS)
        losses = cross_entropy(network.lm_head(states[part]).float(), targets[part], reduction="none")
        totals.index_add_(0, rows[part], losses.cpu().double())


def _batches(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Yield batches of windows from long to short; equal lengths keep the order of the input."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and len(batch[0].ids) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
