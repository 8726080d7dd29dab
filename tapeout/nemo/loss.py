"""Exact cross-entropy over a large vocabulary that is fast on a CPU.

A tiny model with 32,768 pieces spends most of its time on the output layer. Three exact optimizations are together
three to five times as fast as Megatron's own output layer and loss on two cores:

* logits only where the loss mask is 1 (a fifth of all tokens in instruction tuning);
* logits in blocks of a few hundred rows, turned into their own gradient in place (Hsu et al., Liger Kernel, 2024);
* pieces that do not occur in the text and whose output rows are equal count as one row, with its logit raised by the
  logarithm of their number. The rows stay equal, because they get equal gradients.
"""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS_PER_BLOCK = {"cpu": 256, "cuda": 16384}
"""A block of logits for 32,000 pieces takes 33 MB of 32-bit floats on a CPU, and 1 GB of bfloat16 on a GPU."""


@dataclass(frozen=True)
class Vocabulary:
    """Division of an output layer's rows into those with separate logits and those that share one.

    Attributes:
        own: ids with their own logit, ascending [u].
        shared: ids whose rows are equal and are never a target [s]; may be empty.
        column: column of each id among the logits, -1 for shared ids [v].
        bias: added to the logits [u] or, with a shared column, [u + 1].
    """

    own: Tensor
    shared: Tensor
    column: Tensor
    bias: Tensor

    def rows(self, weight: Tensor) -> Tensor:
        """Return the matrix of the logits' columns; its gradient flows back to every row of ``weight`` [v, d]."""
        if not len(self.shared):
            return weight
        return torch.cat([weight.index_select(0, self.own), weight.index_select(0, self.shared).mean(0, keepdim=True)])


def split_vocabulary(weight: Tensor, targets: Iterable[NDArray[np.integer]]) -> Vocabulary:
    """Find the largest group of bitwise equal rows of ``weight`` [v, d] that never occur in ``targets`` (any shape).

    The targets are read only as long as there is such a group. On a GPU none is looked for: the output layer is a small
    part of the work there, and reading the targets of a large corpus takes minutes.
    """
    size = len(weight)
    equal = np.zeros(size, dtype=bool) if weight.is_cuda else _largest_group(weight)
    batches = iter(targets)
    while equal.sum() > 1 and (ids := next(batches, None)) is not None:
        equal[ids] = False
    shared = torch.from_numpy(equal.nonzero()[0] if equal.sum() > 1 else np.empty(0, np.int64))
    own = torch.ones(size, dtype=torch.bool).index_fill_(0, shared, False).nonzero()[:, 0]
    column = torch.full((size,), -1).index_copy_(0, own, torch.arange(len(own)))
    bias = torch.zeros(len(own) + bool(len(shared)))
    if len(shared):
        bias[-1] = math.log(len(shared))
    return Vocabulary(*(part.to(weight.device) for part in (own, shared, column, bias)))


def _largest_group(weight: Tensor) -> NDArray[np.bool_]:
    """Return which rows are in the largest group of bitwise equal ones."""
    rows = weight.detach().cpu().contiguous().view(torch.uint8).numpy()
    keys = rows.view([("", np.void, rows.shape[1])])[:, 0]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    group: NDArray[np.bool_] = inverse.reshape(-1) == counts.argmax()
    return group


class SummedCrossEntropy(torch.autograd.Function):  # type: ignore[misc]
    """Sum over tokens of the cross-entropy of ``hidden @ weight.T + bias`` against ``targets``.

    ``tapeout.models.loss`` explains why the base model has another implementation.

    Shapes: hidden [n, d], weight [v, d], bias [v] (constant), targets [n]; the result is a scalar in nats. Gradients
    are computed in the forward pass, so that no block of logits is needed twice. With bfloat16 only the products are
    computed in bfloat16; the exponentials and the sums have 32 bits.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss, and save the gradients for ``backward`` if any is needed."""
        train, weight_trains = any(ctx.needs_input_grad), ctx.needs_input_grad[1]
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if weight_trains else None
        count = ROWS_PER_BLOCK[hidden.device.type]
        exact = weight.dtype == torch.float32
        buffer = hidden.new_empty(min(count, len(hidden)) if exact else 0, len(weight))
        narrow = _compiled(_narrow_block) if hidden.is_cuda else _narrow_block
        loss = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(hidden), count):
            rows = slice(start, start + count)
            target = targets[rows, None]
            if exact:
                logits = torch.addmm(bias, hidden[rows], weight.T, out=buffer[: len(target)])
                part, gradient = _exact_block(logits, target)
            else:
                part, gradient = narrow(hidden[rows] @ weight.T, bias, target)
            loss += part
            if train:
                torch.mm(gradient, weight, out=hidden_gradient[rows])
            if weight_gradient is not None:
                if exact:
                    weight_gradient.addmm_(gradient.T, hidden[rows])
                else:
                    weight_gradient += gradient.T @ hidden[rows]
        if train:
            narrowed = weight_gradient.to(weight.dtype) if weight_gradient is not None else None
            ctx.save_for_backward(hidden_gradient, narrowed)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """Scale the saved gradients; a constant weight has none."""
        hidden_gradient, weight_gradient = ctx.saved_tensors
        scaled = weight_gradient * gradients[0] if weight_gradient is not None else None
        return hidden_gradient * gradients[0], scaled, None, None


def _exact_block(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed loss of logits [n, v] of 32 bits, and their gradient, which replaces them; targets [n, 1]."""
    chosen = logits.gather(1, target)
    peak = logits.amax(1, keepdim=True)
    probabilities = torch.softmax(logits, 1, out=logits)
    # log-sum-exp from the peak's own probability 1 / sum(exp(logit - peak)): no second pass of exponentials
    loss = (peak - probabilities.amax(1, keepdim=True).log() - chosen).sum()
    return loss, probabilities.scatter_add_(1, target, -torch.ones_like(chosen))


def _narrow_block(logits: Tensor, bias: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed loss of logits [n, v] of 16 bits, and their gradient in 16 bits; targets [n, 1].

    Compiled, this reads the logits three times and writes them once; PyTorch's functions one by one move six times as
    much memory.
    """
    wide = logits.float() + bias
    peak = wide.amax(1, keepdim=True)
    powers = (wide - peak).exp()
    total = powers.sum(1, keepdim=True)
    loss = (peak + total.log() - wide.gather(1, target)).sum()
    hit = torch.arange(logits.size(1), device=logits.device) == target
    return loss, (powers / total - hit.float()).to(logits.dtype)


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled for any number of rows."""
    compiled: Callable[..., Any] = torch.compile(function, dynamic=True)
    return compiled


class Selected(torch.autograd.Function):  # type: ignore[misc]
    """Rows [n, d] at different offsets [m]; the gradient is gathered, too.

    PyTorch's own gradient adds rows at any offsets, for which a GPU in deterministic mode sorts them.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, offsets: Tensor) -> Tensor:
        """Select the rows."""
        ctx.save_for_backward(offsets)
        ctx.count = len(rows)
        return rows.index_select(0, offsets)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Give each selected row its gradient, and the others 0."""
        (offsets,) = ctx.saved_tensors
        (gradient,) = gradients
        source = offsets.new_full((ctx.count,), len(offsets))
        source[offsets] = torch.arange(len(offsets), device=offsets.device)
        zero = gradient.new_zeros(1, gradient.size(1))
        return torch.cat([gradient, zero]).index_select(0, source), None


def summed_loss(hidden: Tensor, weight: Tensor, vocabulary: Vocabulary, labels: Tensor, chosen: Tensor) -> Tensor:
    """Return the sum of the cross-entropy over the chosen tokens.

    Args:
        hidden: [s, b, d], Megatron's order.
        weight: weight of the output layer, [v, d].
        vocabulary: division of its rows.
        labels: [b, s].
        chosen: offsets of the tokens that count in the flattened labels [n]. They are made where the batch is, because
            a GPU would have to wait for their number.
    """
    flat, targets = hidden.transpose(0, 1).reshape(-1, hidden.size(-1)), labels.flatten()
    if len(chosen) < len(targets):
        flat, targets = Selected.apply(flat, chosen), targets[chosen]
    flat = flat.to(weight.dtype)  # Megatron converts the output of a bfloat16 model to 32 bits
    targets = vocabulary.column[targets]
    loss: Tensor = SummedCrossEntropy.apply(flat, vocabulary.rows(weight), vocabulary.bias, targets)
    return loss
