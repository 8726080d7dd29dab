"""Cross-entropy over a large vocabulary, with its gradient made on the way."""

from typing import Any

import torch
from torch import Tensor

ROWS_AT_ONCE = 256
SMALLEST = torch.finfo(torch.float32).tiny


class LinearCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of ``hidden @ weight.T + bias`` against ``targets``.

    With tens of thousands of classes the logits cost as much memory traffic as arithmetic. They are therefore made a
    few hundred rows at a time, turned into probabilities and then into their own gradient in place, and multiplied
    back at once: three matrix products, one softmax, and never more than one block of logits in memory.

    ``tapeout.nemo.loss`` has one of its own: it returns the sum, because Megatron divides by the tokens of the whole
    batch, and takes the loss from the peak's probability and not from the target's. The two round differently, so
    that one for both would change the bits of one of the trainings.

    Shapes: hidden [n, d], weight [v, d], bias [v] (constant), targets [n]. Returns a scalar, in nats a token.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """The loss; both gradients are kept for ``backward``."""
        count = len(targets)
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight)
        loss = hidden.new_zeros(())
        for start in range(0, count, ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            wanted = targets[rows, None]
            gradient = torch.addmm(bias, hidden[rows], weight.T)
            torch.softmax(gradient, 1, out=gradient)
            probability = gradient.gather(1, wanted)
            loss -= probability.clamp_min(SMALLEST).log().sum()
            gradient.scatter_(1, wanted, probability - 1)
            torch.mm(gradient, weight, out=hidden_gradient[rows])
            weight_gradient.addmm_(gradient.T, hidden[rows])
        ctx.save_for_backward(hidden_gradient.div_(count), weight_gradient.div_(count))
        return loss / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale the kept gradients."""
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradients[0], weight_gradient * gradients[0], None, None
