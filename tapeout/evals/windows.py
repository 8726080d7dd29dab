"""Negative log-likelihood of tokens under a causal language model, in windows of its context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

_HEAD_POSITIONS = 1024
"""Positions whose logits are held at once: 1,024 x 32,768 floats are 128 MiB."""


@dataclass(frozen=True)
class Window:
    """Consecutive tokens that one forward pass sees.

    Attributes:
        owner: index of the sequence that the window belongs to.
        ids: the tokens, at most the model's context.
        first: position in ``ids`` of the first token whose prediction counts (at least 1); all later ones count too.
    """

    owner: int
    ids: Sequence[int]
    first: int


def split(owner: int, ids: Sequence[int], context: int, overlap: float) -> Iterator[Window]:
    """Cut a sequence into windows so that every token but the first is predicted exactly once.

    A window begins ``context - int(overlap * context)`` tokens after the one before it; what both hold is context
    only in the later one. No token is predicted from fewer than ``int(overlap * context)`` tokens before it, unless
    the sequence has no more.
    """
    repeated = int(overlap * context)
    start, predicted = 0, 1
    while predicted < len(ids):
        end = min(start + context, len(ids))
        yield Window(owner, ids[start:end], predicted - start)
        predicted = end
        # At least the last predicted token is repeated: it is what the next one is predicted from.
        start = end - max(repeated, 1)


@torch.inference_mode()
def nats(model: "LlamaForCausalLM", windows: Sequence[Window], owners: int, batch_tokens: int) -> list[float]:
    """Sum the negative natural log-likelihoods of the counted tokens for each owner.

    Windows of similar length share a forward pass of at most ``batch_tokens`` tokens (but at least one window).
    Padding stands on the right, where a causal model cannot see it. Logits are computed for counted positions only,
    and sums are kept in double precision.
    """
    totals = torch.zeros(owners, dtype=torch.float64)
    for batch in _batches(windows, batch_tokens):
        width = len(batch[0].ids)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        counted = torch.zeros(len(batch), width, dtype=torch.bool)
        for row, window in enumerate(batch):
            ids[row, : len(window.ids)] = torch.tensor(window.ids)
            counted[row, window.first : len(window.ids)] = True
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        before = hidden[:, :-1][counted[:, 1:]]
        targets = ids[counted]
        rows = torch.tensor([window.owner for window in batch])[counted.nonzero()[:, 0]]
        for start in range(0, len(targets), _HEAD_POSITIONS):
            part = slice(start, start + _HEAD_POSITIONS)
            losses = cross_entropy(model.lm_head(before[part]).float(), targets[part], reduction="none")
            totals.index_add_(0, rows[part], losses.double())
    values: list[float] = totals.tolist()
    return values


def _batches(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Group windows from long to short; the order among equals is that of the input."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and len(batch[0].ids) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
