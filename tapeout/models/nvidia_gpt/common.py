"""What NVIDIA's GPT models have in common, whatever their activation: layer norms, partly rotary positions, no biases.

Their Hugging Face classes have the same names of weights, so the table of ``tapeout.models.decoder`` applies, with a
bias for each norm.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from tapeout.config.section import conflict
from tapeout.models import decoder
from tapeout.models.layout import Part, renamed

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SPECIAL_PIECES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TIED = "share_embeddings_and_output_weights"


class Architecture(decoder.Architecture):
    """Dimensions of a GPT of NVIDIA; options have Megatron's names."""

    rotary_percent: float = Field(
        default=0.5, gt=0, le=1, description="Share of each attention head that the rotary positions turn."
    )

    @model_validator(mode="after")
    def _an_even_part_of_the_width_is_turned(self) -> Self:
        turned = int(self.kv_channels * self.rotary_percent)
        if turned % 2 or not turned:
            raise conflict(
                f"rotary_percent turns {turned} of the {self.kv_channels} numbers of each head, and must turn an even "
                "number of them",
                "Change rotary_percent, or the width of a head.",
                "rotary_percent",
            )
        if self.kv_channels * self.num_attention_heads != self.hidden_size:
            raise conflict(
                f"kv_channels is {self.kv_channels}, which is not hidden_size / num_attention_heads",
                "Leave kv_channels out.",
                "kv_channels",
            )
        if self.share_embeddings_and_output_weights:
            raise conflict(f"{TIED} is true, which this family does not support", "Leave it out.", TIED)
        return self

    def layer_parameters(self) -> int:
        """Return the number of weights of a layer, whose norms have a bias."""
        return super().layer_parameters() + 2 * self.hidden_size

    def parameter_count(self, vocabulary: int) -> int:
        """Return the number of weights."""
        return super().parameter_count(vocabulary) + self.hidden_size


def tokenizer_config() -> dict[str, Any]:
    """Return the settings of the slow tokenizer."""
    return decoder.sentencepiece_settings(SPECIAL_PIECES)


def stated(config: "PretrainedConfig", names: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that a Hugging Face configuration states under other names than the common ones."""
    from tapeout.models.config_fields import fields_of

    fields = fields_of(config)
    values = {option: fields[field] for option, field in names.items()}
    if config.num_key_value_heads is None:
        values["num_query_groups"] = config.num_attention_heads
    return values


def huggingface_fields(architecture: Architecture, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a Hugging Face configuration, without the width of a head."""
    fields = decoder.huggingface_fields(architecture)
    for option in ("layernorm_epsilon", "kv_channels"):
        del fields[decoder.FIELDS[option]]
    return {**fields, **{field: getattr(architecture, option) for option, field in names.items()}}


def biases_of_norms(config: "PretrainedConfig") -> list[Part]:
    """Return the correspondence of the biases of all norms."""
    table = [renamed("decoder.final_layernorm.bias", None, "model.norm.bias")]
    for layer in range(config.num_hidden_layers):
        for name, theirs in decoder.IN_LAYER.items():
            if name.endswith("norm_weight"):
                bias = decoder.LAYERS + name.removesuffix("weight") + "bias"
                table.append(renamed(bias, layer, f"model.layers.{layer}.{theirs.removesuffix('weight')}bias"))
    return table
