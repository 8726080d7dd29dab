"""PyTorch's fused attention as Megatron's core attention: without Transformer Engine it is several times faster."""

import contextlib
import math
from typing import Any

import torch
from megatron.core.transformer.module import MegatronModule
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

REPEATABLE_ON_GPU = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
"""Flash attention takes no mask and no 32-bit floats; the memory-efficient kernel sums its gradients in any order."""


class FusedAttention(MegatronModule):
    """Causal attention, or attention under a mask.

    The mask, where there is one, is Megatron's: [b, 1, s, s], true where attention is forbidden. Packed rows get one
    that also separates the rows; rotary positions are relative, so a row need not begin at position 0.
    """

    def __init__(self, config: Any, *_: Any, softmax_scale: float | None = None, **__: Any) -> None:
        super().__init__(config=config)
        self.scale = softmax_scale or 1.0 / math.sqrt(config.kv_channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any) -> Tensor:
        """Attend; query [s, b, heads, size], key and value [s, b, groups, size], result [s, b, heads * size]."""
        share = query.size(2) // key.size(2)
        key, value = (part.repeat_interleave(share, dim=2) for part in (key, value))
        q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
        allowed = None if attention_mask is None else ~attention_mask
        with sdpa_kernel(REPEATABLE_ON_GPU) if query.is_cuda else contextlib.nullcontext():
            mixed = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=allowed, is_causal=allowed is None, scale=self.scale
            )
        return mixed.permute(2, 0, 1, 3).flatten(2)


def layer_spec(config: Any) -> Any:
    """Megatron's local layers with fused attention: a ``transformer_layer_spec`` for NeMo's configurations."""
    from nemo.collections.llm.gpt.model.base import local_layer_spec

    spec = local_layer_spec(config)
    spec.submodules.self_attention.submodules.core_attention = FusedAttention
    return spec
