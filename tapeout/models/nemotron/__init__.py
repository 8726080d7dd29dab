"""NVIDIA's GPT family with a squared ReLU: Nemotron-3 and Nemotron-4, and older models with ``squared-relu``.

Layer norms, rotary positions on half of each head, no biases in matrices, separate input and output rows. The Hugging
Face class, Nemotron, stores the weights of the norms as NVIDIA does, reduced by 1 (``layernorm1p``), and so does
NeMo-2: no conversion changes a number.

NVIDIA's models with a gated feed-forward layer are the family ``nvidia_gpt``. Implements
``tapeout.models.family.Family``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tapeout.models import decoder
from tapeout.models.layout import Part, renamed
from tapeout.models.nvidia_gpt import common
from tapeout.models.nvidia_gpt.common import SPECIAL_PIECES, tokenizer_config

if TYPE_CHECKING:
    from transformers import NemotronConfig, NemotronForCausalLM

__all__ = ["SPECIAL_PIECES", "tokenizer_config"]

MODEL_TYPE = "nemotron"
NEMO_CONFIGS = ("NemotronConfig",)
INERT: dict[str, tuple[Any, ...]] = {}
FIELDS = {"rotary_percent": "partial_rotary_factor", "layernorm_epsilon": "norm_eps"}
"""Hugging Face's name of each option that is not in the table of ``tapeout.models.decoder``, or not by this name."""


class Architecture(common.Architecture):
    """Dimensions of a Nemotron; options have Megatron's names."""

    gated: ClassVar[bool] = False

    def layer_parameters(self) -> int:
        """Return the number of weights of a layer, whose feed-forward layer has no gate."""
        return super().layer_parameters() - self.hidden_size * self.ffn_hidden_size


def architecture_of(config: "NemotronConfig") -> Architecture:
    """Return the architecture that a Hugging Face configuration states."""
    return Architecture(**decoder.options_from_huggingface(config) | common.stated(config, FIELDS))


def architecture_from_nemo(arguments: Mapping[str, Any]) -> Architecture:
    """Return the architecture of a NeMo-2 checkpoint."""
    return Architecture(**decoder.options_from_nemo(arguments), rotary_percent=arguments["rotary_percent"])


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "NemotronConfig":
    """Return the Hugging Face configuration of a model."""
    from transformers import NemotronConfig

    fields = common.huggingface_fields(architecture, FIELDS)
    return NemotronConfig(**fields, head_dim=architecture.kv_channels, vocab_size=vocabulary, **ids)


def model_class() -> "type[NemotronForCausalLM]":
    """Return the Hugging Face class."""
    from transformers import NemotronForCausalLM

    model: type[NemotronForCausalLM] = NemotronForCausalLM
    return model


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Return NeMo's model without weights."""
    from nemo.collections import llm

    arguments = decoder.nemo_arguments(architecture, vocabulary) | {"gated_linear_unit": False}
    config = llm.NemotronConfig(
        **arguments, rotary_percent=architecture.rotary_percent, generation_config=generation_config
    )
    return llm.NemotronModel(config, tokenizer=tokenizer)


def parts(config: "NemotronConfig") -> list[Part]:
    """Return the correspondence of the weights: the feed-forward layer has no gate."""
    first = decoder.LAYERS + "mlp.linear_fc1.weight"
    table = [part for part in decoder.parts(config) if part.megatron != first]
    layers = range(config.num_hidden_layers)
    table += [renamed(first, layer, f"model.layers.{layer}.mlp.up_proj.weight") for layer in layers]
    return table + common.biases_of_norms(config)
