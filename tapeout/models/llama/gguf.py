"""Names and layout of the tensors of a Llama in a GGUF file.

Conversion programs of llama.cpp interleave the rows of queries and keys, because its rotary positions pair neighbours,
where Hugging Face pairs the halves of a head.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

ARCHITECTURE = "llama"
"""``general.architecture`` of the file."""

OUTSIDE_LAYERS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
IN_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
"""Hugging Face name of each tensor of a layer."""

NUMBERS = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "context_length": "max_position_embeddings",
    "rope.freq_base": "rope_theta",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.dimension_count": "head_dim",
}
"""Field of config.json of each field of the file, both without their prefix."""
REQUIRED = NUMBERS.keys() - {"rope.freq_base", "rope.dimension_count", "attention.head_count_kv"}
"""Fields without which llama.cpp loads no model; transformers would take its own defaults."""
CARRIED = {*NUMBERS, "vocab_size", "attention.key_length", "attention.value_length"}
"""Fields of the architecture that a conversion understands."""


def config(fields: Mapping[str, Any], tied: bool) -> dict[str, Any]:
    """Return the architecture's part of config.json.

    Args:
        fields: fields of the file below ``llama.``, without the prefix.
        tied: whether the file has no output matrix of its own.

    Raises:
        KeyError: a field is missing.
    """
    fields = {"attention.head_count_kv": fields["attention.head_count"], **fields}
    values = {name: fields[field] for field, name in NUMBERS.items() if field in fields or field in REQUIRED}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        **values,
    }


def name_of(name: str) -> str:
    """Return the Hugging Face name of a tensor.

    Raises:
        KeyError: a Llama has no such tensor.
    """
    if not name.startswith("blk."):
        return OUTSIDE_LAYERS[name]
    _, layer, kind = name.split(".", 2)
    return f"model.layers.{int(layer)}.{IN_LAYER[kind]}"


def restored(name: str, rows: "ndarray[Any, Any]", values: Mapping[str, Any]) -> "ndarray[Any, Any]":
    """Return a tensor [rows, columns] in the order of Hugging Face.

    Args:
        name: Hugging Face name of the tensor.
        rows: the tensor of the file.
        values: content of config.json.
    """
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    kind = name.split(".")[-2]
    if kind not in heads:
        return rows
    paired = rows.reshape(values[heads[kind]], -1, 2, rows.shape[-1])
    return paired.swapaxes(1, 2).reshape(rows.shape)
