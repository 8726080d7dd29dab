"""NVIDIA's GPT families: with a gate (``nvidia_gpt``) and with a squared ReLU (``nemotron``)."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tapeout.models import nemotron, nvidia_gpt
from tapeout.models.carried import check_carried
from tapeout.models.layout import weights_from_megatron, weights_to_megatron
from tapeout.models.tokenizer_file import UnusableModel

pytestmark = pytest.mark.environment("nemo")

FAMILIES = [nvidia_gpt, nemotron]
SIZES = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "num_query_groups": 2, "ffn_hidden_size": 48}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_counted_and_survive_both_directions(family: Any) -> None:
    architecture = family.Architecture(**SIZES)
    config = family.huggingface_config(architecture, 100, **IDS)
    assert check_carried(config, family) == architecture
    weights = family.model_class()(config).state_dict()
    assert architecture.parameter_count(100) == sum(weight.numel() for weight in weights.values())
    parts = family.parts(config)
    again = weights_from_megatron(parts, weights_to_megatron(parts, weights))
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_rows_of_a_fused_projection_are_queries_keys_values_of_each_group() -> None:
    """Each head holds one constant: queries 0 to 3, keys 10 and 11, values 20 and 21."""
    config = nemotron.huggingface_config(nemotron.Architecture(**SIZES), 100, **IDS)
    weights = nemotron.model_class()(config).state_dict()
    for name, first in (("q", 0), ("k", 10), ("v", 20)):
        rows = weights[f"model.layers.0.self_attn.{name}_proj.weight"]
        rows.copy_((torch.arange(len(rows)) // 8 + first)[:, None].expand_as(rows))
    fused = weights_to_megatron(nemotron.parts(config), weights)["decoder.layers.self_attention.linear_qkv.weight"]
    assert fused[0, ::8, 0].tolist() == [0, 1, 10, 20, 2, 3, 11, 21]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("option", "value"),
    [("rotary_percent", 0.4), ("kv_channels", 16), ("share_embeddings_and_output_weights", True)],
)
def test_what_the_families_do_not_have_is_refused(family: Any, option: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=option):
        family.Architecture(**SIZES, **{option: value})


@pytest.mark.parametrize(
    ("family", "option", "value"),
    [
        (nvidia_gpt, "use_qkv_bias", True),
        (nvidia_gpt, "use_parallel_residual", True),
        (nvidia_gpt, "qk_layernorm", True),
        (nemotron, "hidden_act", "gelu"),
        (nemotron, "mlp_bias", True),
    ],
)
def test_an_option_of_the_hugging_face_class_that_nvidia_does_not_use_is_refused(
    family: Any, option: str, value: Any
) -> None:
    config = family.huggingface_config(family.Architecture(**SIZES), 100, **IDS)
    setattr(config, option, value)
    with pytest.raises(UnusableModel, match=option):
        check_carried(config, family)
