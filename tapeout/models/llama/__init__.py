"""The Llama family: rotary positions, RMSNorm, grouped-query attention and a gated feed-forward layer, without biases.

Implements ``tapeout.models.family.Family``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from tapeout.config import base
from tapeout.config.section import conflict
from tapeout.models.layout import Part, concatenated, interleaved, renamed

if TYPE_CHECKING:
    from transformers import LlamaConfig, LlamaForCausalLM

MODEL_TYPE = "llama"
NEMO_CONFIG = "LlamaConfig"
SPECIAL_PIECES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CARRIED = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", "rope_theta", "rms_norm_eps", "initializer_range"),
    *("bos_token_id", "eos_token_id"),
)

LAYERS = "decoder.layers."
"""Prefix of the tensors that Megatron stacks over all layers."""
IN_LAYER = {
    "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    "self_attention.linear_proj.weight": "self_attn.o_proj.weight",
    "mlp.linear_fc1.layer_norm_weight": "post_attention_layernorm.weight",
    "mlp.linear_fc2.weight": "mlp.down_proj.weight",
}
"""Hugging Face name of each Megatron tensor of a layer that only changes its name."""


class Architecture(base.Architecture):
    """Dimensions of a Llama; options have Megatron's names."""

    hidden_size: int = Field(default=128, ge=8, description="Width of the residual stream.")
    num_layers: int = Field(default=4, ge=1, description="Transformer layers.")
    num_attention_heads: int = Field(default=4, ge=1, description="Attention heads.")
    num_query_groups: int = Field(
        default=2, ge=1, description="Key and value heads, each shared by a group of attention heads."
    )
    ffn_hidden_size: int = Field(default=384, ge=8, description="Width inside the gated feed-forward layer.")
    rotary_base: float = Field(default=10000.0, gt=0, description="Base of the wavelengths of the rotary positions.")
    layernorm_epsilon: float = Field(default=1e-5, gt=0, description="Added under the root in RMSNorm.")
    init_method_std: float = Field(default=0.02, gt=0, description="Standard deviation of all initial weights.")

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        for whole, part in (("hidden_size", "num_attention_heads"), ("num_attention_heads", "num_query_groups")):
            size, count = getattr(self, whole), getattr(self, part)
            if size % count:
                cause = f"{whole} is {size}, which is not a multiple of {part}, {count}"
                raise conflict(cause, f"Choose a multiple of {count} for {whole}, or change {part}.", whole, part)
        if self.hidden_size // self.num_attention_heads % 2:
            raise conflict(
                f"hidden_size / num_attention_heads is {self.hidden_size // self.num_attention_heads}, and must be "
                "even for rotary positions",
                "Change one of them.",
                "hidden_size",
                "num_attention_heads",
            )
        return self

    def parameter_count(self, vocabulary: int) -> int:
        """Return the number of weights, with separate input and output rows."""
        key_value_width = self.hidden_size * self.num_query_groups // self.num_attention_heads
        attention = 2 * self.hidden_size * (self.hidden_size + key_value_width)
        layer = attention + 3 * self.hidden_size * self.ffn_hidden_size + 2 * self.hidden_size
        return 2 * vocabulary * self.hidden_size + self.num_layers * layer + self.hidden_size

    def forward_flop(self, vocabulary: int, seq_length: int) -> int:
        """Return two FLOP per weight that multiplies, and those of attention over ``seq_length`` tokens.

        An embedding is looked up, not multiplied. Attention counts as if every token saw the whole sequence, as it does
        in published utilizations (PaLM, arXiv 2204.02311, appendix B; Megatron-core).
        """
        multiplying = self.parameter_count(vocabulary) - vocabulary * self.hidden_size
        return 2 * multiplying + 4 * self.num_layers * self.hidden_size * seq_length


def huggingface_config(architecture: Architecture, vocabulary: int, bos: int | None, eos: int) -> "LlamaConfig":
    """Return the configuration of a new model with separate input and output rows, in 32-bit floats."""
    import torch
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.ffn_hidden_size,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_attention_heads,
        num_key_value_heads=architecture.num_query_groups,
        max_position_embeddings=architecture.seq_length,
        rope_theta=architecture.rotary_base,
        rms_norm_eps=architecture.layernorm_epsilon,
        initializer_range=architecture.init_method_std,
        tie_word_embeddings=False,
        bos_token_id=bos,
        eos_token_id=eos,
        torch_dtype=torch.float32,
        use_cache=True,
    )


def model_class() -> "type[LlamaForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import LlamaForCausalLM

    model: type[LlamaForCausalLM] = LlamaForCausalLM
    return model


def tokenizer_config() -> dict[str, Any]:
    """Return the settings of the slow tokenizer; the fast one splits RTL differently from SentencePiece."""
    return {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **SPECIAL_PIECES,
    }


def nemo_model() -> Any:
    """Return an empty NeMo model, which selects NeMo's importer of Llama models."""
    from nemo.collections import llm

    return llm.LlamaModel(llm.LlamaConfig(num_layers=1, hidden_size=8, num_attention_heads=1))


def nemo_exporter(checkpoint: Path) -> Any:
    """Return NeMo's exporter of Llama models."""
    from nemo.collections.llm.gpt.model.llama import HFLlamaExporter

    return HFLlamaExporter(checkpoint)


def config_from_nemo(arguments: Mapping[str, Any], bos: int | None, eos: int) -> "LlamaConfig":
    """Return the configuration that NeMo's exporter would write."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=arguments["vocab_size"],
        hidden_size=arguments["hidden_size"],
        intermediate_size=arguments["ffn_hidden_size"],
        num_hidden_layers=arguments["num_layers"],
        num_attention_heads=arguments["num_attention_heads"],
        num_key_value_heads=arguments["num_query_groups"],
        head_dim=arguments["kv_channels"] or arguments["hidden_size"] // arguments["num_attention_heads"],
        max_position_embeddings=arguments["seq_length"],
        rms_norm_eps=arguments["layernorm_epsilon"],
        rope_theta=arguments["rotary_base"],
        initializer_range=arguments["init_method_std"],
        tie_word_embeddings=arguments["share_embeddings_and_output_weights"],
        bos_token_id=bos,
        eos_token_id=eos,
    )


def parts(config: "LlamaConfig") -> list[Part]:
    """Return the correspondence of the weights: Megatron joins queries, keys and values, and the gate and up layers."""
    table = [
        renamed("embedding.word_embeddings.weight", None, "model.embed_tokens.weight"),
        renamed("decoder.final_layernorm.weight", None, "model.norm.weight"),
        renamed("output_layer.weight", None, "lm_head.weight"),
    ]
    for layer in range(config.num_hidden_layers):
        source = f"model.layers.{layer}."
        table += [renamed(LAYERS + name, layer, source + theirs) for name, theirs in IN_LAYER.items()]
        gate_and_up = [f"{source}mlp.{name}_proj.weight" for name in ("gate", "up")]
        table.append(concatenated(LAYERS + "mlp.linear_fc1.weight", layer, gate_and_up))
        qkv = [f"{source}self_attn.{name}_proj.weight" for name in "qkv"]
        heads, groups = config.num_attention_heads, config.num_key_value_heads
        table.append(interleaved(LAYERS + "self_attention.linear_qkv.weight", layer, qkv, heads, groups))
    return table
