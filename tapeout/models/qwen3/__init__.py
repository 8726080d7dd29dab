"""The dense Qwen3 family without a sliding window: queries and keys are normalized in each head.

Implements ``tapeout.models.family.Family``.
"""

from typing import TYPE_CHECKING, Any

from tapeout.models import decoder, qwen2
from tapeout.models.layout import Part, renamed

if TYPE_CHECKING:
    from transformers import Qwen3Config, Qwen3ForCausalLM

MODEL_TYPE = "qwen3"
NEMO_CONFIGS = ("Qwen3Config",)
INERT, SPECIAL_PIECES, tokenizer_config = qwen2.INERT, qwen2.SPECIAL_PIECES, qwen2.tokenizer_config


class Architecture(decoder.Architecture):
    """Dimensions of a Qwen3; options have Megatron's names."""

    def layer_parameters(self) -> int:
        """Return the number of weights of a layer, with the norms of queries and keys."""
        return super().layer_parameters() + 2 * self.kv_channels


architecture_of = Architecture.from_huggingface
architecture_from_nemo = Architecture.from_nemo


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "Qwen3Config":
    """Return the Hugging Face configuration of a model."""
    from transformers import Qwen3Config

    return Qwen3Config(**decoder.huggingface_fields(architecture), vocab_size=vocabulary, **ids)


def model_class() -> "type[Qwen3ForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import Qwen3ForCausalLM

    model: type[Qwen3ForCausalLM] = Qwen3ForCausalLM
    return model


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Return NeMo's model without weights; NeMo's exporter reads the context from a field of its own."""
    from nemo.collections import llm

    arguments = {
        **decoder.nemo_arguments(architecture, vocabulary),
        "max_position_embeddings": architecture.seq_length,
    }
    return llm.Qwen3Model(llm.Qwen3Config(**arguments, generation_config=generation_config), tokenizer=tokenizer)


def parts(config: "Qwen3Config") -> list[Part]:
    """Return the correspondence of the weights, with the norms of queries and keys."""
    norms = [
        renamed(f"{decoder.LAYERS}self_attention.{kind}_layernorm.weight", layer, f"{source}{kind}_norm.weight")
        for layer, source in enumerate(f"model.layers.{layer}.self_attn." for layer in range(config.num_hidden_layers))
        for kind in "qk"
    ]
    return decoder.parts(config) + norms
