"""Sizes of a Llama of 16 dimensions, which is created in milliseconds."""

from typing import Any

ARCHITECTURE: dict[str, Any] = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "num_query_groups": 1,
    "ffn_hidden_size": 32,
    "seq_length": 16,
}
