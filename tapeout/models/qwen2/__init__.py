"""The Qwen2 family, also Qwen2.5, without a sliding window: queries, keys and values have biases.

Implements ``tapeout.models.family.Family``.
"""

from typing import TYPE_CHECKING, Any

from tapeout.models import decoder
from tapeout.models.layout import Part

if TYPE_CHECKING:
    from transformers import Qwen2Config, Qwen2ForCausalLM

MODEL_TYPE = "qwen2"
NEMO_CONFIGS = ("Qwen2Config",)
INERT: dict[str, tuple[Any, ...]] = {"sliding_window": (), "max_window_layers": ()}
SPECIAL_PIECES = {"eos_token": "<|endoftext|>"}


class Architecture(decoder.Architecture):
    """Dimensions of a Qwen2; options have Megatron's names."""

    def layer_parameters(self) -> int:
        """Return the number of weights of a layer, with the biases."""
        return super().layer_parameters() + self.kv_channels * (self.num_attention_heads + 2 * self.num_query_groups)


architecture_of = Architecture.from_huggingface
architecture_from_nemo = Architecture.from_nemo


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "Qwen2Config":
    """Return the Hugging Face configuration of a model."""
    from transformers import Qwen2Config

    return Qwen2Config(**decoder.huggingface_fields(architecture), vocab_size=vocabulary, **ids)


def model_class() -> "type[Qwen2ForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import Qwen2ForCausalLM

    model: type[Qwen2ForCausalLM] = Qwen2ForCausalLM
    return model


def tokenizer_config() -> dict[str, Any]:
    """Return the settings of a tokenizer that begins no text with a special piece."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        **SPECIAL_PIECES,
    }


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Return NeMo's model without weights."""
    from nemo.collections import llm

    arguments = decoder.nemo_arguments(architecture, vocabulary)
    return llm.Qwen2Model(llm.Qwen2Config(**arguments, generation_config=generation_config), tokenizer=tokenizer)


def parts(config: "Qwen2Config") -> list[Part]:
    """Return the correspondence of the weights, with the fused biases of each layer."""
    biases = [decoder.queries_keys_values(config, layer, "bias") for layer in range(config.num_hidden_layers)]
    return decoder.parts(config) + biases
