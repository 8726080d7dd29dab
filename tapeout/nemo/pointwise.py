"""Rotary positions and the gradient of SwiGLU, in forms that ``torch.compile`` makes fast kernels of.

Megatron's own forms concatenate halves. The compiler then computes every half for each element of the whole, and masks
the others: the kernels take two to eight times what moving the data takes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def use_unmasked_halves() -> None:
    """Let Megatron use the functions below, except for variants of rotation that the models here do not have."""
    from megatron.core.fusions import fused_bias_swiglu
    from megatron.core.models.common.embeddings import rope_utils

    original: Callable[..., Tensor] = rope_utils._apply_rotary_pos_emb_bshd

    def apply(
        tensor: Tensor,
        freqs: Tensor,
        rotary_interleaved: bool = False,
        multi_latent_attention: bool = False,
        mscale: float = 1.0,
    ) -> Tensor:
        if rotary_interleaved or multi_latent_attention:
            return original(tensor, freqs, rotary_interleaved, multi_latent_attention, mscale)
        return rotate(tensor, freqs, mscale)

    rope_utils._apply_rotary_pos_emb_bshd = apply
    fused_bias_swiglu.swiglu_back = swiglu_gradient


def rotate(tensor: Tensor, angles: Tensor, factor: float) -> Tensor:
    """Rotate pairs of numbers, which are half of the rotated width apart (arXiv 2104.09864).

    Args:
        tensor: queries or keys [s, b, heads, size].
        angles: angles [s, 1, 1, width], of which the second half repeats the first; further numbers remain.
        factor: factor of sine and cosine.
    """
    width = angles.shape[-1]
    cosine, sine = (table.unflatten(-1, (2, -1)) for table in _tables(angles, factor, tensor.dtype))
    halves = (tensor if width == tensor.shape[-1] else tensor[..., :width]).unflatten(-1, (2, -1))
    rotated = (halves * cosine + halves.flip(-2) * sine).flatten(-2)
    return rotated if width == tensor.shape[-1] else torch.cat([rotated, tensor[..., width:]], dim=-1)


def swiglu_gradient(gradient: Tensor, inputs: Tensor) -> Tensor:
    """Return the gradient of ``silu(gate) * up``.

    Args:
        gradient: of the result [..., f].
        inputs: gate and up, one after the other [..., 2 f].
    """
    gate, up = (half.unsqueeze(-2) for half in inputs.chunk(2, -1))
    sigmoid = torch.sigmoid(gate)
    of_gate = torch.arange(2, device=inputs.device)[:, None] == 0
    slope = torch.where(of_gate, sigmoid * (1 + gate * (1 - sigmoid)) * up, gate * sigmoid)
    return (gradient.unsqueeze(-2) * slope).flatten(-2)


def _compute(angles: Tensor, factor: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the cosine, and the sine whose first half is negative."""
    first, second = (angles.sin() * factor).chunk(2, -1)
    return (angles.cos() * factor).to(dtype), torch.cat([-first, second], -1).to(dtype)


def _shapes(angles: Tensor, factor: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.empty_like(angles, dtype=dtype), torch.empty_like(angles, dtype=dtype)


# the compiler does not look into an operator, and so computes the tables once and not for each head of each token
_tables: Any = torch.library.custom_op("tapeout::rotary_tables", _compute, mutates_args=())
_tables.register_fake(_shapes)
