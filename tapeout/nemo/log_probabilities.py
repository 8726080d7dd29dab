"""Log-probabilities of single tokens, for losses that are not a sum over tokens."""

from typing import Any

import torch
from torch import Tensor

from tapeout.nemo.loss import ROWS_PER_BLOCK, Selected, Vocabulary


class LogProbabilities(torch.autograd.Function):  # type: ignore[misc]
    """Logarithm of the probability of each target under ``softmax(hidden @ weight.T + bias)``.

    Shapes: hidden [n, d], weight [v, d], bias [v] (constant), targets [n]; the result is [n], in nats and 32 bits. The
    logits are computed in blocks, and again in the backward pass, when the weight of each token in the loss is known.
    With bfloat16 only the products are computed in bfloat16; the exponentials and the sums have 32 bits.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """Compute the logarithms."""
        ctx.save_for_backward(hidden, weight, bias, targets)
        result = hidden.new_empty(len(hidden), dtype=torch.float32)
        for rows in _blocks(hidden):
            logits = _logits(hidden[rows], weight, bias)
            result[rows] = logits.gather(1, targets[rows, None])[:, 0] - logits.logsumexp(1)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Compute the gradients; that of a token's logits is its own times the difference of target and probability."""
        hidden, weight, bias, targets = ctx.saved_tensors
        (gradient,) = gradients
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
        for rows in _blocks(hidden):
            scale, target = gradient[rows, None], targets[rows, None]
            of_logits = torch.softmax(_logits(hidden[rows], weight, bias), 1) * -scale
            of_logits = of_logits.scatter_add_(1, target, scale).to(weight.dtype)
            hidden_gradient[rows] = of_logits @ weight
            weight_gradient += of_logits.T @ hidden[rows]
        return hidden_gradient, weight_gradient.to(weight.dtype), None, None


def _blocks(hidden: Tensor) -> list[slice]:
    size = ROWS_PER_BLOCK[hidden.device.type]
    return [slice(start, start + size) for start in range(0, len(hidden), size)]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (hidden @ weight.T).float() + bias


def log_probabilities(hidden: Tensor, weight: Tensor, vocabulary: Vocabulary, labels: Tensor, chosen: Tensor) -> Tensor:
    """Return the log-probabilities of the chosen labels [b, s] in double precision, and 0 for the others.

    Args:
        hidden: [s, b, d], Megatron's order.
        weight: weight of the output layer, [v, d].
        vocabulary: division of its rows.
        labels: [b, s].
        chosen: offsets of the tokens that count in the flattened labels [n].
    """
    flat = hidden.transpose(0, 1).reshape(-1, hidden.size(-1))
    flat, targets = Selected.apply(flat, chosen).to(weight.dtype), vocabulary.column[labels.flatten()[chosen]]
    found = LogProbabilities.apply(flat, vocabulary.rows(weight), vocabulary.bias, targets).double()
    return found.new_zeros(labels.numel()).index_copy(0, chosen, found).view_as(labels)
