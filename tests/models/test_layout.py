"""Correspondence of Hugging Face and Megatron weights: the order of rows is known in advance, and the inverse exact."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tapeout.models import llama
from tapeout.models.layout import Part, interleaved, weights_from_megatron, weights_to_megatron

pytestmark = pytest.mark.environment("nemo")

QKV = "decoder.layers.self_attention.linear_qkv.weight"


def constant_heads(first: float, count: int, size: int, width: int) -> torch.Tensor:
    """Return a projection in which the rows of head ``i`` hold ``first + i``."""
    return (first + torch.arange(count)).repeat_interleave(size)[:, None].expand(-1, width).clone()


def test_the_heads_of_each_query_group_are_followed_by_its_key_and_value() -> None:
    # heads 10..13 of queries, 20 and 21 of keys, 30 and 31 of values, each of 3 rows
    part = interleaved("qkv", 0, ("q", "k", "v"), heads=4, groups=2)
    sources = [constant_heads(10, 4, 3, 8), constant_heads(20, 2, 3, 8), constant_heads(30, 2, 3, 8)]
    fused = part.join(sources)
    assert fused.shape == (24, 8) and (fused == fused[:, :1]).all()
    assert fused[::3, 0].tolist() == [10, 11, 20, 30, 12, 13, 21, 31]
    assert all(torch.equal(a, b) for a, b in zip(part.split(fused), sources, strict=True))
    biases = [tensor[:, 0] for tensor in sources]
    assert torch.equal(part.join(biases), fused[:, 0])
    assert all(torch.equal(a, b) for a, b in zip(part.split(fused[:, 0]), biases, strict=True))


def test_a_part_can_be_made_without_memory() -> None:
    part = interleaved("qkv", 0, ("q", "k", "v"), heads=4, groups=2)
    assert part.join([torch.empty(rows, 8, device="meta") for rows in (12, 6, 6)]).shape == (24, 8)


@pytest.fixture(scope="module")
def config() -> Any:
    architecture = llama.Architecture(
        hidden_size=16, num_layers=3, num_attention_heads=4, num_query_groups=2, ffn_hidden_size=24
    )
    return llama.huggingface_config(architecture, 300, bos_token_id=1, eos_token_id=2)


def test_every_weight_of_the_model_has_its_place(config: Any) -> None:
    weights = llama.model_class()(config).state_dict()
    parts = llama.parts(config)
    megatron = weights_to_megatron(parts, weights)
    gate, up = (weights[f"model.layers.2.mlp.{name}_proj.weight"] for name in ("gate", "up"))
    assert torch.equal(megatron["decoder.layers.mlp.linear_fc1.weight"][2], torch.cat([gate, up]))
    assert megatron[QKV].shape == (3, 32, 16)
    again = weights_from_megatron(parts, megatron)
    assert again.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, again[name]), name


@pytest.mark.parametrize("change", [lambda tensors: tensors.popitem(), lambda tensors: tensors.update(more=1)])
def test_missing_and_unknown_tensors_are_named(config: Any, change: Callable[[Any], Any]) -> None:
    weights = dict(llama.model_class()(config).state_dict())
    parts: list[Part] = llama.parts(config)
    megatron = weights_to_megatron(parts, weights)
    for convert, tensors in ((weights_to_megatron, weights), (weights_from_megatron, megatron)):
        change(tensors)
        with pytest.raises(KeyError, match="missing|unknown"):
            convert(parts, tensors)
