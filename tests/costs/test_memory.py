"""Memory of a training on each GPU, against published formulas and a measured peak."""

from typing import Any

import pytest

from tapeout.config.dapt import Dapt
from tapeout.costs.memory import GIB, Memory, advice, training_memory
from tapeout.models.activations import layer_activation_bytes, score_bytes
from tapeout.models.llama import Architecture
from tests.models.test_llama import LLAMA_2, PARAMETERS, PIECES

H100, H200 = 79 * GIB, 139 * GIB
LLAMA_1B = Architecture(
    hidden_size=2048,
    num_layers=22,
    num_attention_heads=32,
    num_query_groups=4,
    ffn_hidden_size=5632,
    seq_length=2048,
)


def job(micro: int = 1, seq_length: int = 4096, **layout: Any) -> Dapt:
    values = {"num_nodes": 1, "devices": 8, "accelerator": "gpu", **layout}
    return Dapt(
        micro_batch_size=micro, global_batch_size=256, seq_length=seq_length, precision="bf16-mixed", layout=values
    )


def memory(architecture: Architecture, run: Dapt, *, masked: bool = False) -> Memory:
    found = training_memory(architecture, PIECES, run, masked=masked)
    assert found is not None
    return found


@pytest.mark.parametrize("tensor", [1, 8])
def test_activations_of_a_layer_are_those_of_the_paper(tensor: int) -> None:
    # "Reducing Activation Recomputation", equation 2: s b h (10 + 24 / t + 5 a s / (h t)); without dropout its two
    # masks, s b h each, are not kept, and fused attention has no a s² b terms
    tokens, hidden = 2048, 12288
    paper = tokens * hidden * (10 + 24 / tensor)
    found = layer_activation_bytes(tokens, hidden, hidden, 4 * hidden, tensor, gated=False)
    assert found == paper - 2 * tokens * hidden


def test_scores_of_masked_attention_dominate_as_in_the_paper() -> None:
    # GPT-3, the paper's example: 5 a s / h = 80 against 34; here 4 of the 5 a s² b bytes, as probabilities of 32 bits
    tokens, hidden, heads = 2048, 12288, 96
    assert score_bytes(tokens, 2048, heads, masked=True) == tokens * hidden * 80 * 4 / 5
    assert score_bytes(tokens, 2048, heads, masked=False) == tokens * heads * 4


def test_weights_gradients_and_optimizer_have_18_bytes_a_parameter() -> None:
    # Megatron-core's guide, distributed optimizer: 18 bytes without it
    terms = memory(LLAMA_2["7B"], job()).terms
    assert terms["weights"] + terms["gradients"] + terms["optimizer"] == 18 * PARAMETERS["7B"]
    divided = memory(LLAMA_2["7B"], job(tensor_model_parallel_size=4)).terms
    assert terms["optimizer"] == 4 * divided["optimizer"] == 12 * PARAMETERS["7B"]


def test_the_peak_is_the_measured_one() -> None:
    # docs/cost.md: dapt of a 1.1 B Llama on one H200, 8 x 2,048 tokens at once: 42 GiB
    assert memory(LLAMA_1B, job(8, 2048)).total / GIB == pytest.approx(42, rel=0.1)


def test_no_memory_is_forecast_for_a_cpu() -> None:
    assert training_memory(LLAMA_1B, PIECES, Dapt(), masked=False) is None


def advised(architecture: Architecture, run: Dapt, limit: int = H100) -> str:
    return advice(architecture, PIECES, run, masked=False, limit=limit, section="dapt")


def test_the_smallest_change_that_fits_is_advised() -> None:
    assert advised(LLAMA_1B, job(16, 2048)).startswith("Set dapt.micro_batch_size 8: ")
    small = advised(LLAMA_2["7B"], job())
    assert small.startswith("Set dapt.layout.tensor_model_parallel_size 2: ")
    both = advised(LLAMA_2["13B"], job(4, tensor_model_parallel_size=4))
    assert both.startswith("Set dapt.micro_batch_size 1: ")


def test_what_cannot_fit_says_why() -> None:
    run = job(num_nodes=32, tensor_model_parallel_size=8)
    assert memory(LLAMA_2["70B"], run).total > H200
    text = advised(LLAMA_2["70B"], run, H200)
    assert text.startswith("No layout fits: the least is ") and "of which optimizer 96 GiB" in text
    assert "every replica keeps the whole state" in text
