"""The Llama family: Llama 1 to 3.x, TinyLlama, SmolLM2. Without biases; positions may be scaled as in Llama 3.1.

Implements ``tapeout.models.family.Family``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tapeout.config.section import Section
from tapeout.models import decoder

if TYPE_CHECKING:
    from transformers import LlamaConfig, LlamaForCausalLM

MODEL_TYPE = "llama"
NEMO_CONFIGS = ("LlamaConfig", "Llama31Config")
INERT: dict[str, tuple[Any, ...]] = {
    "is_llama_config": (True,),
    "rope_interleaved": (False,),
    "max_sequence_length": (),
}
SPECIAL_PIECES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
SCALING = {
    "scale_factor": "factor",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "old_context_len": "original_max_position_embeddings",
}
"""Hugging Face's name of each option of ``RopeScaling``."""
parts = decoder.parts


class RopeScaling(Section):
    """Scaling of the rotary positions to contexts longer than those of the pretraining, ``llama3`` in Hugging Face."""

    scale_factor: float = Field(default=8.0, ge=1, description="Divisor of the low frequencies.")
    low_freq_factor: float = Field(
        default=1.0, gt=0, description="Frequencies with fewer turns in the original context are divided."
    )
    high_freq_factor: float = Field(
        default=4.0, gt=0, description="Frequencies with more turns in the original context stay as they are."
    )
    old_context_len: int = Field(default=8192, ge=8, description="Tokens of the original context.")


class Architecture(decoder.Architecture):
    """Dimensions of a Llama; options have Megatron's names."""

    rope_scaling: RopeScaling | None = Field(default=None, description="Scaling of the rotary positions (Llama 3.1).")


def architecture_of(config: "LlamaConfig") -> Architecture:
    """Return the architecture that a Hugging Face configuration states."""
    from tapeout.models.config_fields import fields_of

    scaling = fields_of(config).get("rope_scaling")
    if not scaling or scaling.get("rope_type") != "llama3":
        return Architecture.from_huggingface(config)
    return Architecture.from_huggingface(
        config, rope_scaling={option: scaling[field] for option, field in SCALING.items()}
    )


def architecture_from_nemo(arguments: Mapping[str, Any]) -> Architecture:
    """Return the architecture of a NeMo-2 checkpoint."""
    scaling = {option: arguments[option] for option in SCALING if option in arguments}
    return Architecture.from_nemo(arguments, rope_scaling=scaling or None)


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "LlamaConfig":
    """Return the Hugging Face configuration of a model."""
    from transformers import LlamaConfig

    fields, scaling = decoder.huggingface_fields(architecture), architecture.rope_scaling
    if scaling:
        stated = {field: getattr(scaling, option) for option, field in SCALING.items()}
        fields["rope_scaling"] = {**stated, "rope_type": "llama3"}
    return LlamaConfig(**fields, vocab_size=vocabulary, **ids)


def model_class() -> "type[LlamaForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import LlamaForCausalLM

    model: type[LlamaForCausalLM] = LlamaForCausalLM
    return model


def tokenizer_config() -> dict[str, Any]:
    """Return the settings of the slow tokenizer."""
    return decoder.sentencepiece_settings(SPECIAL_PIECES)


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Return NeMo's model without weights. NeMo's importer would take three of the four scaling options as 3.1's."""
    from nemo.collections.llm.gpt.model.llama import Llama31Config, LlamaConfig, LlamaModel

    arguments, kind = decoder.nemo_arguments(architecture, vocabulary), LlamaConfig
    if architecture.rope_scaling:
        arguments, kind = arguments | architecture.rope_scaling.model_dump(), Llama31Config
    return LlamaModel(kind(**arguments, generation_config=generation_config), tokenizer=tokenizer)
