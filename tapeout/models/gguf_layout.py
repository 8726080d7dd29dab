"""Names, fields and order of rows of the models of a family in GGUF files, one table for both directions.

A family's module ``gguf`` provides a ``LAYOUT``. The names and fields are those that llama.cpp reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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
BIASES_OF_NORMS = {"attn_norm.bias": "input_layernorm.bias", "ffn_norm.bias": "post_attention_layernorm.bias"}

NUMBERS = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "context_length": "max_position_embeddings",
    "rope.freq_base": "rope_theta",
}
"""Field of config.json of each field of the file, both without their prefix."""
OPTIONAL = ("rope.freq_base", "attention.head_count_kv")
"""Fields for which llama.cpp has a default; transformers would take its own defaults for the others."""
HEADS = ("rope.dimension_count", "attention.key_length", "attention.value_length")
"""Fields of the width of an attention head, the first of the part of it that the rotary positions turn."""


@dataclass(frozen=True)
class Layout:
    """Layout of a family's models in a GGUF file.

    Attributes:
        architecture: ``general.architecture`` of the file, which is the prefix of the other fields.
        constants: fields of config.json that all models of the family have.
        epsilon: field of the constant in the norms, and its name in config.json.
        fixed: fields of the file that all models of the family have.
        in_layer: Hugging Face name of each tensor of a layer.
        outside_layers: Hugging Face name of each other tensor.
        paired: whether the rows of queries and keys are interleaved: rotary positions of llama.cpp's ``llama`` pair
            neighbours, where Hugging Face pairs the halves of a head.
        norm_offset: number that the file's weights of norms have more than Hugging Face's.
        partial: whether rotary positions turn a part of each head.
        scaled: whether rotary positions may be scaled (``tapeout.models.gguf_rotary``).
    """

    architecture: str
    constants: Mapping[str, Any]
    epsilon: tuple[str, str] = ("attention.layer_norm_rms_epsilon", "rms_norm_eps")
    fixed: Mapping[str, Any] = field(default_factory=dict)
    in_layer: Mapping[str, str] = field(default_factory=lambda: IN_LAYER)
    outside_layers: Mapping[str, str] = field(default_factory=lambda: OUTSIDE_LAYERS)
    paired: bool = False
    norm_offset: int = 0
    partial: bool = False
    scaled: bool = False

    @cached_property
    def numbers(self) -> dict[str, str]:
        """Field of config.json of each field of the file, both without their prefix."""
        return {**NUMBERS, self.epsilon[0]: self.epsilon[1]}

    @property
    def carried(self) -> set[str]:
        """Fields of the file that a conversion understands, without their prefix."""
        return {*self.numbers, *HEADS, *self.fixed, "vocab_size"}

    def config(self, fields: Mapping[str, Any], tied: bool) -> dict[str, Any]:
        """Return the architecture's part of config.json.

        Args:
            fields: fields of the file, without their prefix.
            tied: whether the file has no output matrix of its own.

        Raises:
            KeyError: a field is missing.
            ValueError: a field has a value that models of the family do not have.
        """
        for name, value in self.fixed.items():
            if fields.get(name, value) != value:
                raise ValueError(f"{name} is {fields[name]!r}, not {value!r}")
        values = {name: fields[known] for known, name in self.numbers.items() if known in fields or self._needs(known)}
        values.setdefault("num_key_value_heads", values["num_attention_heads"])
        width = values["hidden_size"] // values["num_attention_heads"]
        widths = {fields[name] for name in (HEADS[1:] if self.partial else HEADS) if name in fields}
        if len(widths) > 1:
            raise ValueError(f"{HEADS[1]} is {fields.get(HEADS[1])!r}, but other widths of a head are {sorted(widths)}")
        if self.partial:
            values["partial_rotary_factor"] = fields[HEADS[0]] / fields.get(HEADS[1], width)
        elif {HEADS[0], HEADS[1]} & fields.keys():
            values["head_dim"] = fields.get(HEADS[1], fields.get(HEADS[0]))
        return {**self.constants, "tie_word_embeddings": tied, **values}

    def fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of the file, without their prefix, in the order in which they are written.

        Args:
            config: content of config.json; the inverse of ``config``.
        """
        width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        turned = int(width * config["partial_rotary_factor"]) if self.partial else width
        numbers = {name: config[known] for name, known in self.numbers.items()}
        numbers |= {name: float(numbers[name]) for name in ("rope.freq_base", self.epsilon[0])}
        widths = dict(zip(HEADS, (turned, width, width), strict=True))
        return {**numbers, **widths, "vocab_size": config["vocab_size"], **self.fixed}

    def name_of(self, name: str) -> str:
        """Return the Hugging Face name of a tensor.

        Raises:
            KeyError: the family has no such tensor.
        """
        if not name.startswith("blk."):
            return self.outside_layers[name]
        _, layer, kind = name.split(".", 2)
        return f"model.layers.{int(layer)}.{self.in_layer[kind]}"

    def stored_name(self, name: str) -> str:
        """Return the name in the file of a Hugging Face tensor; the inverse of ``name_of``.

        Raises:
            KeyError: the family has no such tensor.
        """
        if not name.startswith("model.layers."):
            return _inverse(self.outside_layers)[name]
        _, _, layer, kind = name.split(".", 3)
        return f"blk.{int(layer)}.{_inverse(self.in_layer)[kind]}"

    def restored(self, name: str, rows: Any, config: Mapping[str, Any]) -> Any:
        """Return a tensor of the file, an array of NumPy or PyTorch, in the order and with the numbers of Hugging Face.

        Args:
            name: Hugging Face name of the tensor.
            rows: the tensor.
            config: content of config.json.
        """
        heads = self._heads(name, config)
        if heads:
            return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
        return rows - self.norm_offset if self._is_offset(name) else rows

    def stored(self, name: str, rows: Any, config: Mapping[str, Any]) -> Any:
        """Return a tensor as the file has it; the inverse of ``restored``."""
        heads = self._heads(name, config)
        if heads:
            return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
        return rows + self.norm_offset if self._is_offset(name) else rows

    def _needs(self, name: str) -> bool:
        return name not in OPTIONAL

    def _is_offset(self, name: str) -> bool:
        return bool(self.norm_offset) and name.endswith("norm.weight")

    def _heads(self, name: str, config: Mapping[str, Any]) -> int:
        """Return the number of heads whose rows are interleaved in the file; 0 for any other tensor."""
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        kind = name.split(".")[-2]
        return int(config[heads[kind]]) if self.paired and kind in heads else 0


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {known: own for own, known in names.items()}
