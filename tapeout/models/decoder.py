"""Common part of families with rotary positions, RMSNorm, query groups and a gated feed-forward layer.

An ``Architecture`` is the hub of all translations: the configurations of Hugging Face and of NeMo are both made from
one and read into one, by the table ``FIELDS``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tapeout.config import base
from tapeout.config.section import conflict
from tapeout.config.training import Training
from tapeout.models.activations import Activations, layer_activations, score_bytes
from tapeout.models.layout import EMBEDDING, Part, concatenated, interleaved, renamed

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FIELDS = {
    "seq_length": "max_position_embeddings",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "num_query_groups": "num_key_value_heads",
    "kv_channels": "head_dim",
    "ffn_hidden_size": "intermediate_size",
    "rotary_base": "rope_theta",
    "layernorm_epsilon": "rms_norm_eps",
    "init_method_std": "initializer_range",
    "share_embeddings_and_output_weights": "tie_word_embeddings",
}
"""Hugging Face's name of each option; NeMo's is that of the option itself."""

LAYERS = "decoder.layers."
"""Prefix of the tensors that Megatron stacks over all layers."""
IN_LAYER = {
    "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    "self_attention.linear_proj.weight": "self_attn.o_proj.weight",
    "mlp.linear_fc1.layer_norm_weight": "post_attention_layernorm.weight",
    "mlp.linear_fc2.weight": "mlp.down_proj.weight",
}
"""Hugging Face name of each Megatron tensor of a layer that only changes its name."""


def _head_size(options: dict[str, Any]) -> int:
    return int(options["hidden_size"] // options["num_attention_heads"])


class Architecture(base.Architecture):
    """Dimensions of a decoder; options have Megatron's names.

    Attributes:
        gated: whether the feed-forward layer has a gate.
    """

    gated: ClassVar[bool] = True

    hidden_size: int = Field(default=128, ge=8, description="Width of the residual stream.")
    num_layers: int = Field(default=4, ge=1, description="Transformer layers.")
    num_attention_heads: int = Field(default=4, ge=1, description="Attention heads.")
    num_query_groups: int = Field(
        default=2, ge=1, description="Key and value heads, each shared by a group of attention heads."
    )
    kv_channels: int = Field(
        default_factory=_head_size,
        ge=2,
        description="Width of an attention head; without it, hidden_size / num_attention_heads.",
    )
    ffn_hidden_size: int = Field(default=384, ge=8, description="Width inside the gated feed-forward layer.")
    rotary_base: float = Field(default=10000.0, gt=0, description="Base of the wavelengths of the rotary positions.")
    layernorm_epsilon: float = Field(default=1e-5, gt=0, description="Added under the root in RMSNorm.")
    init_method_std: float = Field(default=0.02, gt=0, description="Standard deviation of all initial weights.")
    share_embeddings_and_output_weights: bool = Field(
        default=False, description="Tied embeddings: one matrix is the input embedding and the output layer."
    )
    params_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Type of the stored weights."
    )

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        pairs = [("num_attention_heads", "num_query_groups")]
        if "kv_channels" not in self.model_fields_set:
            pairs.insert(0, ("hidden_size", "num_attention_heads"))
        for whole, part in pairs:
            size, count = getattr(self, whole), getattr(self, part)
            if size % count:
                cause = f"{whole} is {size}, which is not a multiple of {part}, {count}"
                raise conflict(cause, f"Choose a multiple of {count} for {whole}, or change {part}.", whole, part)
        if self.kv_channels % 2:
            what = "kv_channels" if "kv_channels" in self.model_fields_set else "hidden_size / num_attention_heads"
            raise conflict(
                f"{what} is {self.kv_channels}, and must be even for rotary positions",
                "Change one of them.",
                *what.split(" / "),
            )
        return self

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of a stored weight."""
        return 4 if self.params_dtype == "float32" else 2

    @classmethod
    def from_huggingface(cls, config: "PretrainedConfig", **further: Any) -> Self:
        """Return the architecture that a Hugging Face configuration states.

        Args:
            config: the configuration.
            further: options of the family.
        """
        return cls(**options_from_huggingface(config), **further)

    @classmethod
    def from_nemo(cls, arguments: Mapping[str, Any], **further: Any) -> Self:
        """Return the architecture of a NeMo-2 checkpoint.

        Args:
            arguments: arguments of NeMo's configuration.
            further: options of the family.
        """
        return cls(**options_from_nemo(arguments), **further)

    def layer_parameters(self) -> int:
        """Return the number of weights of a layer."""
        attention = self.hidden_size * self.kv_channels * 2 * (self.num_attention_heads + self.num_query_groups)
        return attention + 3 * self.hidden_size * self.ffn_hidden_size + 2 * self.hidden_size

    def parameter_count(self, vocabulary: int) -> int:
        """Return the number of weights; tied input and output rows count once."""
        matrices = 1 if self.share_embeddings_and_output_weights else 2
        rows = matrices * vocabulary * self.hidden_size
        return rows + self.num_layers * self.layer_parameters() + self.hidden_size

    def stage_parameters(self, vocabulary: int, stages: int) -> list[int]:
        """Return the number of weights in each stage of a pipeline; tied rows are in the first and in the last one."""
        if stages == 1:
            return [self.parameter_count(vocabulary)]
        rows, layers = vocabulary * self.hidden_size, self.num_layers // stages * self.layer_parameters()
        matrices = 1 if self.share_embeddings_and_output_weights else 2
        norm = self.parameter_count(vocabulary) - matrices * rows - layers * stages
        return [rows + layers, *[layers] * (stages - 2), layers + norm + rows]

    def activations(self, tokens: int, job: Training) -> Activations:
        """Return the bytes that a layer keeps for a micro-batch on each GPU; see ``tapeout.models.activations``."""
        layout, item = job.layout, 4 if job.precision == "32" else 2
        heads, tensor = self.num_attention_heads, layout.tensor_model_parallel_size
        scores = score_bytes(tokens, job.seq_length, heads, tensor, item=item)
        # attention within packed rows takes keys for all heads; ranks that share a sequence gather them again
        expanded = item == 4 or (job.PACKED and layout.context_parallel_size == 1)
        keys = (heads if expanded else self.num_query_groups) * self.kv_channels
        return layer_activations(
            tokens,
            self.hidden_size,
            heads * self.kv_channels,
            keys,
            self.ffn_hidden_size,
            scores,
            layout,
            item=item,
            float8=job.precision == "fp8",
            gated=self.gated,
        )

    def forward_flop(self, vocabulary: int, seq_length: int) -> int:
        """Return two FLOP per weight that multiplies, and those of attention over ``seq_length`` tokens.

        An embedding is looked up, not multiplied. Attention counts as if every token saw the whole sequence, as it does
        in published utilizations (PaLM, arXiv 2204.02311, appendix B; Megatron-core).
        """
        looked_up = 0 if self.share_embeddings_and_output_weights else vocabulary * self.hidden_size
        multiplying = self.parameter_count(vocabulary) - looked_up
        return 2 * multiplying + 4 * self.num_layers * self.num_attention_heads * self.kv_channels * seq_length


def options_from_huggingface(config: "PretrainedConfig") -> dict[str, Any]:
    """Return the options of an architecture that a Hugging Face configuration states."""
    from tapeout.models.config_fields import fields_of

    fields = fields_of(config)
    stated = {option: fields.get(field) for option, field in FIELDS.items()}
    dtype = str(fields.get("torch_dtype") or "float32").removeprefix("torch.")
    return {**{option: value for option, value in stated.items() if value is not None}, "params_dtype": dtype}


def options_from_nemo(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an architecture from the arguments of a NeMo configuration."""
    stated = {option: arguments[option] for option in FIELDS if arguments.get(option) is not None}
    dtype = "bfloat16" if arguments.get("bf16") else "float16" if arguments.get("fp16") else "float32"
    return {**stated, "params_dtype": dtype}


def huggingface_fields(architecture: Architecture) -> dict[str, Any]:
    """Return the fields of a Hugging Face configuration."""
    import torch

    from tapeout.models.config_fields import DTYPE

    fields = {field: getattr(architecture, option) for option, field in FIELDS.items()}
    return {**fields, DTYPE: getattr(torch, architecture.params_dtype), "use_cache": True}


def nemo_arguments(architecture: Architecture, vocabulary: int) -> dict[str, Any]:
    """Return the arguments of a NeMo configuration, as NeMo's own importers give them."""
    import torch

    return {
        **{option: getattr(architecture, option) for option in FIELDS},
        "gated_linear_unit": True,
        "vocab_size": vocabulary,
        "make_vocab_size_divisible_by": next(size for size in (128, 64, 32, 16, 8, 4, 2, 1) if vocabulary % size == 0),
        "fp16": architecture.params_dtype == "float16",
        "bf16": architecture.params_dtype == "bfloat16",
        "params_dtype": getattr(torch, architecture.params_dtype),
    }


def parts(config: "PretrainedConfig") -> list[Part]:
    """Return the correspondence of the weights: Megatron joins queries, keys and values, and the gate and up layers."""
    table = [
        renamed(EMBEDDING, None, "model.embed_tokens.weight"),
        renamed("decoder.final_layernorm.weight", None, "model.norm.weight"),
    ]
    if not config.tie_word_embeddings:
        table.append(renamed("output_layer.weight", None, "lm_head.weight"))
    for layer in range(config.num_hidden_layers):
        source = f"model.layers.{layer}."
        table += [renamed(LAYERS + name, layer, source + theirs) for name, theirs in IN_LAYER.items()]
        gate_and_up = [f"{source}mlp.{name}_proj.weight" for name in ("gate", "up")]
        table.append(concatenated(LAYERS + "mlp.linear_fc1.weight", layer, gate_and_up))
        table.append(queries_keys_values(config, layer, "weight"))
    return table


def queries_keys_values(config: "PretrainedConfig", layer: int, kind: Literal["weight", "bias"]) -> Part:
    """Return the fused projection of a layer: its weights or its biases."""
    sources = [f"model.layers.{layer}.self_attn.{name}_proj.{kind}" for name in "qkv"]
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    return interleaved(f"{LAYERS}self_attention.linear_qkv.{kind}", layer, sources, heads, groups)


def sentencepiece_settings(special_pieces: Mapping[str, str]) -> dict[str, Any]:
    """Return tokenizer_config.json of the slow tokenizer; the fast one splits RTL differently from SentencePiece."""
    return {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **special_pieces,
    }
