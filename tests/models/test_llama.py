"""Parameters, FLOP and memory of Llama models, compared with published figures."""

from typing import Any

import pytest
from pydantic import ValidationError

from tapeout.config.bases.tiny import Base
from tapeout.graph.plan.rates import GPUS
from tapeout.models import llama
from tapeout.models.family import Family, load_family
from tapeout.models.llama import Architecture


def architecture(hidden_size: int, num_layers: int, heads: int, groups: int, ffn_hidden_size: int) -> Architecture:
    return Architecture(
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_attention_heads=heads,
        num_query_groups=groups,
        ffn_hidden_size=ffn_hidden_size,
    )


LLAMA_2 = {
    "7B": architecture(4096, 32, 32, 32, 11008),
    "13B": architecture(5120, 40, 40, 40, 13824),
    "70B": architecture(8192, 80, 64, 8, 28672),
}
PIECES = 32_000
PARAMETERS = {"7B": 6_738_415_616, "13B": 13_015_864_320, "70B": 68_976_648_192}
"""Of the published checkpoints."""

CHIPNEMO_DAPT = {"7B": 2_620, "13B": 4_940, "70B": 20_500}
"""A100 GPU hours for 24.1 billion tokens in sequences of 4,096 (arXiv 2311.00176; with SFT 2,710, 5,100 and 21,340)."""


def test_the_module_implements_the_interface() -> None:
    family: Family = llama  # mypy compares the members
    assert load_family("llama") is family


@pytest.mark.parametrize("name", LLAMA_2)
def test_parameters_of_llama_2(name: str) -> None:
    assert LLAMA_2[name].parameter_count(PIECES) == PARAMETERS[name]


def test_flop_per_token_agree_with_a_published_throughput() -> None:
    # NeMo 24.09: Llama 2 7B, sequences of 4,096: 16,934 tokens/s and 780 TFLOP/s per GPU
    assert LLAMA_2["7B"].training_flop(PIECES, 16_934, 4096) == pytest.approx(780e12, rel=0.001)


@pytest.mark.parametrize("name", LLAMA_2)
def test_gpu_hours_agree_with_chipnemo(name: str) -> None:
    a100 = GPUS["a100"]
    flop = LLAMA_2[name].training_flop(PIECES, 24_100_000_000, 4096)
    hours = flop / (a100.peak * a100.utilisation) / 3600
    assert CHIPNEMO_DAPT[name] / 1.2 < hours < CHIPNEMO_DAPT[name] * 1.2


def test_utilization_on_hopper_agrees_with_a_published_one() -> None:
    # torchtitan, Llama 3.1 8B, 8 H100, BF16, sequences of 8,192: 5,762 tokens/s per GPU, compiled 6,667
    model = architecture(4096, 32, 32, 8, 14336)
    assert model.parameter_count(128_256) == 8_030_261_248
    plain, compiled = (model.training_flop(128_256, rate, 8192) / GPUS["h100"].peak for rate in (5_762, 6_667))
    assert plain < GPUS["h100"].utilisation < compiled


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": {"hidden_size": 130}},
        {"architecture": {"num_query_groups": 3}},
        {"architecture": {"num_attention_heads": 128}},
        {"architecture": {"hiden_size": 128}},
        {"max_steps": 100},
        {"family": "lama"},
    ],
)
def test_parameters_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Base.model_validate(wrong)
