"""NVIDIA's GPT family with a gated feed-forward layer (SwiGLU), such as GPT-2B-001.

Layer norms, rotary positions on half of each head, no biases in matrices, separate input and output rows. The Hugging
Face class that computes the same is StableLM's. NVIDIA stores the weights of the norms reduced by 1 (``layernorm1p``).
The import adds the 1 once, where the original adds it in each forward pass, so that everything downstream has plain
layer norms.

NVIDIA's models with a squared ReLU are the family ``nemotron``. Implements ``tapeout.models.family.Family``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tapeout.models import decoder
from tapeout.models.layout import Part
from tapeout.models.nvidia_gpt import common
from tapeout.models.nvidia_gpt.common import SPECIAL_PIECES, Architecture, tokenizer_config

if TYPE_CHECKING:
    from transformers import StableLmConfig, StableLmForCausalLM

__all__ = ["SPECIAL_PIECES", "Architecture", "tokenizer_config"]

MODEL_TYPE = "stablelm"
NEMO_CONFIGS = ("GPTConfig",)
INERT: dict[str, tuple[Any, ...]] = {}
FIELDS = {"rotary_percent": "partial_rotary_factor", "layernorm_epsilon": "layer_norm_eps"}
"""Hugging Face's name of each option that is not in the table of ``tapeout.models.decoder``, or not by this name."""


def architecture_of(config: "StableLmConfig") -> Architecture:
    """Return the architecture that a Hugging Face configuration states."""
    return Architecture(**decoder.options_from_huggingface(config) | common.stated(config, FIELDS))


def architecture_from_nemo(arguments: Mapping[str, Any]) -> Architecture:
    """Return the architecture of a NeMo-2 checkpoint."""
    return Architecture(**decoder.options_from_nemo(arguments), rotary_percent=arguments["rotary_percent"])


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "StableLmConfig":
    """Return the Hugging Face configuration of a model."""
    from transformers import StableLmConfig

    return StableLmConfig(**common.huggingface_fields(architecture, FIELDS), vocab_size=vocabulary, **ids)


def model_class() -> "type[StableLmForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import StableLmForCausalLM

    model: type[StableLmForCausalLM] = StableLmForCausalLM
    return model


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Return NeMo's model without weights."""
    from nemo.collections import llm
    from torch.nn.functional import silu

    config = llm.GPTConfig(
        **decoder.nemo_arguments(architecture, vocabulary),
        rotary_percent=architecture.rotary_percent,
        normalization="LayerNorm",
        activation_func=silu,
        add_bias_linear=False,
        position_embedding_type="rope",
        attention_dropout=0.0,
        hidden_dropout=0.0,
        bias_activation_fusion=True,
        bias_dropout_fusion=True,
        generation_config=generation_config,
    )
    return llm.GPTModel(config, tokenizer=tokenizer)


def parts(config: "StableLmConfig") -> list[Part]:
    """Return the correspondence of the weights of Hugging Face and of Megatron."""
    return decoder.parts(config) + common.biases_of_norms(config)
