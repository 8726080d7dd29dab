"""Cross-entropy of the base model over a large vocabulary, which computes its gradient in the forward pass.

``tapeout.nemo.loss`` has another one. It returns the sum, because Megatron divides by the tokens of the whole batch,
and takes the loss from the maximum's probability instead of the target's. The two round differently, so one
function for both would change the bytes of the base model's training log or of the adapted models.
"""

from typing import Any

import torch
from torch import Tensor

ROWS_PER_BLOCK = 256
MIN_PROBABILITY = torch.finfo(torch.float32).tiny


class LinearCrossEntropy(torch.autograd.Function):  # type: ignore[misc]
    """Mean cross-entropy of ``hidden @ weight.T + bias`` against ``targets``, in nats per token.

    With tens of thousands of classes the logits cost as much memory traffic as arithmetic. They are therefore computed
    in blocks of rows, turned in place into probabilities and then into their own gradient, and multiplied back at once:
    three matrix products, one softmax, and never more than one block of logits in memory.

    Shapes: hidden [n, d], weight [v, d], bias [v] (constant), targets [n]; the result is a scalar.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss, and save both gradients for ``backward``."""
        count = len(targets)
        hidden_gradient = torch.empty_like(hidden)
        weight_gradient = torch.zeros_like(weight)
        loss = hidden.new_zeros(())
        for start in range(0, count, ROWS_PER_BLOCK):
            rows = slice(start, start + ROWS_PER_BLOCK)
            target = targets[rows, None]
            gradient = torch.addmm(bias, hidden[rows], weight.T)
            torch.softmax(gradient, 1, out=gradient)
            probability = gradient.gather(1, target)
            loss -= probability.clamp_min(MIN_PROBABILITY).log().sum()
            gradient.scatter_(1, target, probability - 1)
            torch.mm(gradient, weight, out=hidden_gradient[rows])
            weight_gradient.addmm_(gradient.T, hidden[rows])
        ctx.save_for_backward(hidden_gradient.div_(count), weight_gradient.div_(count))
        return loss / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Scale the saved gradients."""
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradients[0], weight_gradient * gradients[0], None, None
