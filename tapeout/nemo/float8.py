"""Matrix products in 8-bit floats, one scale for each tensor ("tensorwise"), for training on GPUs that have them.

Weights, sums of gradients and the optimizer keep their precision; only the operands of the three products of a linear
layer are rounded: inputs and weights to e4m3, gradients to e5m2 (Micikevicius et al., arXiv 2209.05433). The scale of a
tensor comes from its own largest value, so a result does not depend on the steps before it. The weights are rounded
once for each step, and not for each micro-batch.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

FORWARD, BACKWARD = torch.float8_e4m3fn, torch.float8_e5m2
ROUNDED = "rounded_to_8_bits"
"""Attribute of a weight [m, k]: the weight in 8 bits, its transpose [k, m] and the factor that restores both."""


def quantize(tensor: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return a tensor in 8 bits, and the 32-bit factor that restores it; a tensor of zeros has the factor 1."""
    limit = torch.finfo(dtype).max
    largest = tensor.abs().amax().float()
    factor = torch.where(largest > 0, largest / limit, torch.ones_like(largest))
    return (tensor.float() / factor).clamp(-limit, limit).to(dtype), factor


def _product(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], dtype: torch.dtype, fast: bool) -> Tensor:
    """Multiply [n, k] by the transpose of [m, k]; both are contiguous, as the hardware requires."""
    result: Tensor = torch._scaled_mm(
        left[0], right[0].t(), scale_a=left[1], scale_b=right[1], out_dtype=dtype, use_fast_accum=fast
    )
    return result


def quantize_both(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a tensor [n, k] in 8 bits, its transpose [k, n] and their factor; compiled, one kernel writes both."""
    narrow, factor = quantize(tensor, FORWARD)
    return narrow, narrow.t().contiguous(), factor


class Float8Linear(torch.autograd.Function):  # type: ignore[misc]
    """``rows @ weight.T`` and its gradients, with operands in 8 bits.

    The rows are [n, k], the weight [m, k]; k and m are multiples of 16.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, narrow: Tensor, turned: Tensor, factor: Tensor) -> Tensor:
        """Multiply, and keep the transposed operands for the gradients.

        The last three arguments are the ``ROUNDED`` weight.
        """
        narrow_rows, turned_rows, factor_rows = quantize_both(rows)
        ctx.save_for_backward(turned_rows, factor_rows, turned, factor)
        ctx.dtype = rows.dtype
        return _product((narrow_rows, factor_rows), (narrow, factor), rows.dtype, fast=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return the gradients of rows and weight; Megatron sums them over micro-batches in 32 bits."""
        rows, factor, weight, weight_factor = ctx.saved_tensors
        narrow, narrow_factor = quantize(gradients[0], BACKWARD)
        of_rows = _product((narrow, narrow_factor), (weight, weight_factor), ctx.dtype, fast=False)
        of_weight = _product((narrow.t().contiguous(), narrow_factor), (rows, factor), ctx.dtype, fast=False)
        return of_rows, of_weight, None, None, None


def float8_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``inputs @ weight.T + bias`` in the precision of the inputs [..., k]; the result is [..., m].

    A weight that is not among ``RoundedWeights`` is rounded here.
    """
    rounded = getattr(weight, ROUNDED, None)
    if rounded is None:
        rounded = quantize_both(weight.detach())
    rows: Tensor = Float8Linear.apply(inputs.reshape(-1, inputs.size(-1)), weight, *rounded)
    result = rows.reshape(*inputs.shape[:-1], weight.size(0))
    return result if bias is None else result + bias


class RoundedWeights:
    """The weights of a model's linear layers in 8 bits, which follow the optimizer.

    They are rounded before the first forward pass after a step of an optimizer. Their memory stays where it is, so
    compiled layers stay valid. They take 2 bytes for each weight.
    """

    def __init__(self, model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        """Give each matrix of the decoder layers of Megatron's ``model`` its ``ROUNDED`` form."""
        layers: Any = model.decoder
        self.weights = [weight for weight in layers.parameters() if weight.dim() == 2]
        for weight in self.weights:
            setattr(weight, ROUNDED, quantize_both(weight.detach()))
        self.stale = True  # a checkpoint that is loaded later changes the weights
        self.round = torch.compile(quantize_both) if self.weights[0].is_cuda else quantize_both
        model.register_forward_pre_hook(self._refresh)
        for optimizer in optimizers:
            optimizer.register_step_post_hook(self._expire)

    def _expire(self, *_: Any) -> None:
        """Remember that the weights are about to change: Megatron copies the optimizer's weights to the model's."""
        self.stale = True

    def _refresh(self, *_: Any) -> None:
        """Round the weights again if they have changed."""
        if self.stale:
            with torch.no_grad():
                for weight in self.weights:
                    for kept, new in zip(getattr(weight, ROUNDED), self.round(weight.detach()), strict=True):
                        kept.copy_(new)
        self.stale = False


def use_float8() -> None:
    """Let Megatron's linear layers multiply in 8 bits. They must have the whole matrix: no tensor parallelism."""
    from megatron.core.tensor_parallel import layers

    def linear(input: Tensor, weight: Tensor, bias: Tensor | None, **_: Any) -> Tensor:
        return float8_linear(input, weight, bias)

    layers.linear_with_grad_accumulation_and_async_allreduce = linear
