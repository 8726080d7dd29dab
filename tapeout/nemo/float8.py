"""Matrix products in 8-bit floats, one scale for each tensor ("tensorwise"), for training on GPUs that have them.

Weights, sums of gradients and the optimizer keep their precision; only the operands of the three products of a linear
layer are rounded: inputs and weights to e4m3, gradients to e5m2 (Micikevicius et al., arXiv 2209.05433). The scale of a
tensor comes from its own largest value, so a result does not depend on the steps before it.
"""

from typing import Any

import torch
from torch import Tensor

FORWARD, BACKWARD = torch.float8_e4m3fn, torch.float8_e5m2


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


class Float8Linear(torch.autograd.Function):  # type: ignore[misc]
    """``rows @ weight.T`` and its gradients, with operands in 8 bits; rows [n, k], weight [m, k], k and m times 16."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        """Multiply, and keep the rounded operands for the gradients."""
        narrow, narrow_weight = quantize(rows, FORWARD), quantize(weight, FORWARD)
        ctx.save_for_backward(*narrow, *narrow_weight)
        ctx.dtype = rows.dtype
        return _product(narrow, narrow_weight, rows.dtype, fast=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of rows and weight; the sums of these have full precision."""
        rows, factor, weight, weight_factor = ctx.saved_tensors
        narrow, narrow_factor = quantize(gradients[0], BACKWARD)
        of_rows = _product((narrow, narrow_factor), (weight.t().contiguous(), weight_factor), ctx.dtype, fast=False)
        of_weight = _product(
            (narrow.t().contiguous(), narrow_factor), (rows.t().contiguous(), factor), ctx.dtype, fast=False
        )
        return of_rows, of_weight


def float8_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``inputs @ weight.T + bias`` in the precision of the inputs [..., k]; the result is [..., m]."""
    rows: Tensor = Float8Linear.apply(inputs.reshape(-1, inputs.size(-1)), weight)
    result = rows.reshape(*inputs.shape[:-1], weight.size(0))
    return result if bias is None else result + bias


def use_float8() -> None:
    """Let Megatron's linear layers multiply in 8 bits. They must have the whole matrix: no tensor parallelism."""
    from megatron.core.tensor_parallel import layers

    def linear(input: Tensor, weight: Tensor, bias: Tensor | None, **_: Any) -> Tensor:
        return float8_linear(input, weight, bias)

    layers.linear_with_grad_accumulation_and_async_allreduce = linear
