"""Attention of a training run: causal over a sequence, or within each row of a packed sequence.

Packed rows are described by their boundaries. A mask of [s, s] would cost memory on a GPU, and would send attention to
plain matrix products.
"""

import math
from typing import Any

import torch
from megatron.core.transformer.module import MegatronModule
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from tapeout.nemo import cudnn_attention
from tapeout.nemo.context import boundaries_of, gather, own_chunks, own_positions

CAUSAL_BLOCKS: dict[int, BlockMask] = {}
"""Masks of causal attention by the length of a sequence, on the GPU of this process; made by ``prepare_blocks``."""


def prepare_blocks(length: int, device: torch.device) -> None:
    """Make the mask of causal attention over sequences of a length, before the layers are compiled."""
    CAUSAL_BLOCKS[length] = create_block_mask(_is_earlier, None, None, length, length, device=device)


def _is_earlier(_: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return query >= key


def row_boundaries(segments: Tensor) -> Tensor:
    """Return where the rows of packed sequences begin, and where the last one ends.

    Args:
        segments: number of the row that each position belongs to [b, s]; padding is a row, too.

    Returns:
        offsets in the flattened batch, int32 [rows + 1], from 0 to b * s.
    """
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    end = torch.tensor([segments.numel()])
    return torch.cat([begins.flatten().nonzero()[:, 0], end]).int()


class FusedAttention(MegatronModule):  # type: ignore[misc]
    """PyTorch's fused attention, several times faster than Megatron's own core attention without Transformer Engine.

    In place of a mask it takes the boundaries of packed rows (``row_boundaries``). Rotary positions are relative, so a
    row need not begin at position 0.
    """

    def __init__(self, config: Any, *_: Any, softmax_scale: float | None = None, **__: Any) -> None:
        """Take Megatron's arguments, of which only the scale and the width of a head are used."""
        super().__init__(config=config)
        self.scale = softmax_scale or 1.0 / math.sqrt(config.kv_channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any) -> Tensor:
        """Attend; query [s, b, heads, size], key and value [s, b, groups, size], result [s, b, heads * size].

        Args:
            query: queries.
            key: keys.
            value: values.
            attention_mask: None, or the boundaries of packed rows in the flattened batch, int32 [rows + 1].
                With context parallelism these are boundaries of whole sequences.
        """
        if self.config.context_parallel_size > 1:
            mixed = self._in_context(query, key, value, attention_mask)
        elif attention_mask is not None:
            mixed = self._within_rows(query, key, value, attention_mask)
        elif query.is_cuda:
            q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
            mixed = self._causal_on_gpu(q, k, v).permute(2, 0, 1, 3)
        else:
            key, value = _expanded(query, key, value)
            q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
            mixed = scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale).permute(2, 0, 1, 3)
        return mixed.flatten(2)

    def _causal_on_gpu(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend causally; query [b, heads, s, size], key and value [b, groups, s, size].

        cuDNN is the fastest. Without it, FlexAttention is used in deterministic mode: no two of its blocks write to the
        same place, so its gradient does not depend on the order of sums; that of flash attention takes a third longer.
        For 32-bit floats PyTorch chooses.
        """
        if cudnn_attention.suits(query, self.config.deterministic_mode):
            return cudnn_attention.attend(query, key, value, self.scale, self.config.deterministic_mode)
        shared = query.size(1) != key.size(1)
        blocks = CAUSAL_BLOCKS.get(query.size(2))
        if self.config.deterministic_mode and blocks is not None and query.dtype != torch.float32:
            mixed: Tensor = flex_attention(query, key, value, block_mask=blocks, scale=self.scale, enable_gqa=shared)
            return mixed
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale, enable_gqa=shared)

    def _within_rows(self, query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor) -> Tensor:
        """Attend within rows; result [s, b, heads, size]."""
        length, batch, heads, size = query.shape
        key, value = _expanded(query, key, value)
        if not query.is_cuda or query.dtype == torch.float32:
            # sequences on a CPU are short, and one call is faster than one for each row; flash attention needs 16 bits
            q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
            mask = row_mask(boundaries, batch, length)
            return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale).permute(2, 0, 1, 3)
        q, k, v = (part.transpose(0, 1).reshape(batch * length, heads, size) for part in (query, key, value))
        ends = boundaries, boundaries, length, length
        mixed = rows_on_gpu(q * (self.scale * math.sqrt(size)), k, v, *ends)
        return mixed.reshape(batch, length, heads, size).transpose(0, 1)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _in_context(self, query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor | None) -> Tensor:
        """Attend from this rank's part of the positions to those of all ranks; result [s / n, b, heads, size].

        It communicates, which the compiler could not order between ranks. The keys and values of whole sequences are
        gathered again in the backward pass, because keeping them would need the memory that the division saves.
        """
        if boundaries is None:
            whole = query.size(0) * self.config.context_parallel_size
            boundaries = torch.arange(query.size(1) + 1, device=query.device, dtype=torch.int32) * whole
        parts = query, key, value, boundaries
        if self.config.recompute_granularity == "full":  # then this is already computed again
            return self._to_all_positions(*parts)
        mixed: Tensor = checkpoint(self._to_all_positions, *parts, use_reentrant=False, preserve_rng_state=False)
        return mixed

    def _to_all_positions(self, query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor) -> Tensor:
        """Gather keys and values, and attend to them within the rows."""
        key, value = gather(torch.cat([key, value], -1)).split(key.size(-1), -1)
        key, value = _expanded(query, key, value)
        length, batch, heads, size = key.shape
        if not query.is_cuda or query.dtype == torch.float32:
            own = own_positions(length)
            q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
            mask = row_mask(boundaries, batch, length)[:, :, own]
            return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale).permute(2, 0, 1, 3)
        k, v = (part.transpose(0, 1).reshape(batch * length, heads, size) for part in (key, value))
        mixed = []
        for chunk, part in zip(own_chunks(length), (query * (self.scale * math.sqrt(size))).chunk(2), strict=True):
            q = part.transpose(0, 1).reshape(batch * len(chunk), heads, size)
            ends = *boundaries_of(chunk, boundaries, batch, length), len(chunk), length
            mixed.append(rows_on_gpu(q, k, v, *ends).reshape(batch, len(chunk), heads, size).transpose(0, 1))
        return torch.cat(mixed)


def row_mask(boundaries: Tensor, batch: int, length: int) -> Tensor:
    """Return where attention within rows is allowed, [b, 1, s, s]; see ``row_boundaries``."""
    positions = torch.arange(batch * length, device=boundaries.device)
    rows = torch.searchsorted(boundaries, positions, right=True).view(batch, length)
    earlier = torch.ones(length, length, dtype=torch.bool, device=boundaries.device).tril()
    return ((rows[:, :, None] == rows[:, None, :]) & earlier)[:, None]


def _expanded(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values with one head for each of the query's."""
    heads_per_group = query.size(2) // key.size(2)
    return key.repeat_interleave(heads_per_group, dim=2), value.repeat_interleave(heads_per_group, dim=2)


def rows_on_gpu(
    query: Tensor, key: Tensor, value: Tensor, queries: Tensor, keys: Tensor, most_queries: int, most_keys: int
) -> Tensor:
    """Attend within rows with flash attention, whose own scale is 1 / sqrt(size); all tensors [b * s, heads, size].

    Args:
        query: queries.
        key: keys.
        value: values.
        queries: boundaries of the rows' queries. If a row has more keys, the queries are its last positions.
        keys: boundaries of the rows' keys.
        most_queries: upper bound of the number of a row's queries.
        most_keys: upper bound of the number of a row's keys.
    """
    from torch.nn.attention.varlen import varlen_attn

    mixed: Tensor = varlen_attn(query, key, value, queries, keys, most_queries, most_keys, window_size=(-1, 0))
    return mixed


def layer_spec(config: Any) -> Any:
    """Return Megatron's local layers with fused attention, a ``transformer_layer_spec`` of NeMo's configurations."""
    from nemo.collections.llm.gpt.model.base import local_layer_spec

    spec = local_layer_spec(config)
    spec.submodules.self_attention.submodules.core_attention = FusedAttention
    return spec
