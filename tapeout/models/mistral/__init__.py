"""The Mistral family without a sliding window: Mistral 7B from version 0.2 on, and models derived from it.

Implements ``tapeout.models.family.Family``.
"""

from typing import TYPE_CHECKING, Any

from tapeout.models import decoder, llama

if TYPE_CHECKING:
    from transformers import MistralConfig, MistralForCausalLM

MODEL_TYPE = "mistral"
NEMO_CONFIGS = ("MistralConfig7B",)
INERT: dict[str, tuple[Any, ...]] = {}
SPECIAL_PIECES = llama.SPECIAL_PIECES
tokenizer_config = llama.tokenizer_config
parts = decoder.parts


class Architecture(decoder.Architecture):
    """Dimensions of a Mistral; options have Megatron's names."""


architecture_of = Architecture.from_huggingface
architecture_from_nemo = Architecture.from_nemo


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "MistralConfig":
    """Return the Hugging Face configuration of a model, without the sliding window that is transformers' default."""
    from transformers import MistralConfig

    fields = decoder.huggingface_fields(architecture)
    return MistralConfig(**fields, vocab_size=vocabulary, sliding_window=None, **ids)


def model_class() -> "type[MistralForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import MistralForCausalLM

    model: type[MistralForCausalLM] = MistralForCausalLM
    return model


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Return NeMo's model without weights, and without the sliding window that is NeMo's default."""
    from nemo.collections import llm

    arguments = {**decoder.nemo_arguments(architecture, vocabulary), "window_size": None, "cp_comm_type": None}
    return llm.MistralModel(llm.MistralConfig7B(**arguments, generation_config=generation_config), tokenizer=tokenizer)
