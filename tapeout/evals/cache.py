"""A key-value cache for greedy decoding that never copies what it holds."""

from typing import Any

import torch
from transformers.cache_utils import Cache


class PreallocatedCache(Cache):
    """Keys and values in buffers of the final length.

    ``DynamicCache`` concatenates at each step and so copies the whole past for every token; on a CPU and a small
    model that is half of the time. Here a step writes its own token only.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._filled: list[int] = []

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        cache_kwargs: dict[str, Any] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states of shape (rows, heads, tokens, width) for a layer; return all of that layer so far."""
        if layer_idx == len(self._keys):
            rows, heads, _, width = key_states.shape
            self._keys.append(key_states.new_zeros(rows, heads, self._capacity, width))
            self._values.append(value_states.new_zeros(rows, heads, self._capacity, width))
            self._filled.append(0)
        start = self._filled[layer_idx]
        end = self._filled[layer_idx] = start + key_states.shape[2]
        self._keys[layer_idx][:, :, start:end] = key_states
        self._values[layer_idx][:, :, start:end] = value_states
        return self._keys[layer_idx][:, :, :end], self._values[layer_idx][:, :, :end]

    def get_seq_length(self, layer_idx: int | None = 0) -> int:
        """Number of tokens held for a layer."""
        return self._filled[layer_idx or 0] if self._filled else 0

    def get_max_cache_shape(self) -> int | None:
        """No limit that attention masks should be padded to."""
        return None

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Forget all rows of the batch but these."""
        self._keys = [keys[rows] for keys in self._keys]
        self._values = [values[rows] for values in self._values]
