"""Memory of a training on each GPU, against published formulas and measured peaks."""

from typing import Any

import pytest

from tapeout.config.dapt import Dapt
from tapeout.config.layout import Layout
from tapeout.config.sft import Sft
from tapeout.config.training import Training
from tapeout.costs.advice import advice
from tapeout.costs.memory import CONTEXT, GIB, Memory, training_memory
from tapeout.models.activations import Activations, gradient_scratch, layer_activations, score_bytes
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
    values = {"num_nodes": 1, "devices": 8, "accelerator": "gpu", "gpu_model": "NVIDIA H100 80GB HBM3", **layout}
    return Dapt(
        micro_batch_size=micro, global_batch_size=256, seq_length=seq_length, precision="bf16-mixed", layout=values
    )


def memory(architecture: Architecture, run: Dapt) -> Memory:
    found = training_memory(architecture, PIECES, run)
    assert found is not None
    return found


def layer(layout: dict[str, Any], scores: int = 0) -> Activations:
    """Return what a layer as wide as GPT-3's keeps of 2,048 tokens."""
    return layer_activations(2048, 12288, 12288, 12288, 4 * 12288, scores, Layout(devices=8, **layout), gated=False)


@pytest.mark.parametrize("tensor", [1, 8])
def test_activations_of_a_layer_are_those_of_the_paper(tensor: int) -> None:
    # "Reducing Activation Recomputation", equation 2: s b h (10 + 24 / t + 5 a s / (h t)); without dropout its two
    # masks, s b h each, are not kept, and fused attention has no a s² b terms. Section 5: with sequence parallelism
    # everything is divided by t, and full recomputation keeps the layer's input, 2 s b h
    size, parts = 2048 * 12288, {"tensor_model_parallel_size": tensor}
    whole = size * (10 + 24 / tensor) - 2 * size
    assert layer(parts) == (whole, 0)
    assert layer({**parts, "recompute": "full"}) == (2 * size, whole)
    kept, again = layer({**parts, "recompute": "selective"})
    assert (kept + again, again) == (whole, 16 * size / tensor)  # input and output of the activation function
    if tensor > 1:
        assert layer({**parts, "sequence_parallel": True}) == (32 * size / tensor, 0)
        assert layer({**parts, "sequence_parallel": True, "recompute": "full"}).kept == 2 * size / tensor


def test_scores_of_plain_attention_dominate_as_in_the_paper() -> None:
    # GPT-3, the paper's example: 5 a s / h = 80 against 34; here 4 of the 5 a s² b bytes, as probabilities of 32 bits
    tokens, hidden, heads = 2048, 12288, 96
    assert score_bytes(tokens, 2048, heads, item=4) == tokens * hidden * 80 * 4 / 5
    assert score_bytes(tokens, 2048, heads) == tokens * heads * 4


def test_weights_gradients_and_optimizer_have_18_bytes_a_parameter() -> None:
    # Megatron-core's guide, distributed optimizer: 18 bytes without it
    terms = memory(LLAMA_2["7B"], job()).terms
    assert terms["weights"] + terms["gradients"] + terms["optimizer"] == 18 * PARAMETERS["7B"]
    divided = memory(LLAMA_2["7B"], job(tensor_model_parallel_size=4)).terms
    assert terms["optimizer"] == 4 * divided["optimizer"] == 12 * PARAMETERS["7B"]


@pytest.mark.parametrize(
    ("section", "micro", "options", "measured"),
    [
        (Dapt, 8, {}, 42.6),
        (Dapt, 16, {"deterministic": False}, 65.4),
        (Dapt, 8, {"precision": "fp8"}, 37.8),
        (Sft, 8, {}, 42.8),
    ],
)
def test_the_peak_is_the_measured_one(
    section: type[Training], micro: int, options: dict[str, Any], measured: float
) -> None:
    # benchmarks/training_speed.md: a 1.1 B Llama on one H200, sequences of 2,048
    dapt = job(micro, 2048)
    values = {
        name: getattr(dapt, name) for name in ("global_batch_size", "micro_batch_size", "seq_length", "precision")
    }
    run = section.model_validate({**values, "layout": dapt.layout.model_dump(), **options})
    found = training_memory(LLAMA_1B, PIECES, run)
    assert found is not None and found.total / GIB == pytest.approx(measured, rel=0.1)


def test_no_memory_is_forecast_for_a_cpu() -> None:
    assert training_memory(LLAMA_1B, PIECES, Dapt()) is None


def advised(architecture: Architecture, run: Dapt, limit: int = H100) -> str:
    return advice(architecture, PIECES, run, limit=limit, section="dapt")


def test_every_dimension_divides_its_terms() -> None:
    whole, model = memory(LLAMA_2["7B"], job()).terms, LLAMA_2["7B"]
    divided = memory(model, job(distributed_optimizer=True)).terms
    assert divided == {**whole, "optimizer": whole["optimizer"] // 8}
    stages = job(pipeline_model_parallel_size=8)
    first = memory(model, stages)
    rows, layers = PIECES * model.hidden_size, 4 * model.layer_parameters()
    assert first.terms["weights"] == 2 * (rows + layers) and first.terms["logits"] == 0
    assert first.terms["activations"] == whole["activations"], "8 micro-batches of an eighth of the layers"
    assert first.parts == (1, 8, 1, 1) and model.stage_parameters(PIECES, 8)[1:-1] == [layers] * 6
    assert sum(model.stage_parameters(PIECES, 8)) == PARAMETERS["7B"]
    shared = memory(model, job(context_parallel_size=8, distributed_optimizer=True))
    assert shared.parts == (1, 1, 8, 1) and shared.terms["optimizer"] == divided["optimizer"], "8 copies, as before"
    assert shared.terms["activations"] == whole["activations"] // 8
    gathered = (2 + 4) * 4096 * model.hidden_size * 2  # keys and values of all positions; their gradients of two chunks
    alone = gradient_scratch(4096, 4096, 32, 128)  # of cuDNN, which ranks that share a sequence do not use
    assert alone is not None
    per_token = (whole["workspace"] - CONTEXT - alone) // 8
    assert shared.terms["workspace"] - CONTEXT == per_token + gathered
    few = stages.model_copy(update={"global_batch_size": 2})
    assert memory(model, few).terms["activations"] == whole["activations"] // 4, "only 2 micro-batches in all"


def test_the_cheapest_change_that_fits_is_advised() -> None:
    alone = job(1, 65_536, devices=1)
    assert advised(LLAMA_1B, job(32, 2048)) == "Set dapt.micro_batch_size 16: 65 GiB."
    assert advised(LLAMA_1B, alone) == "Set dapt.layout.recompute selective: 60 GiB."
    assert advised(LLAMA_2["7B"], job()) == "Set dapt.layout.distributed_optimizer true: 66 GiB."
    model, long = (
        LLAMA_1B.model_copy(update={"seq_length": 2**19}),
        {"recompute": "full", "distributed_optimizer": True},
    )
    assert advised(model, job(1, 2**19, **long)) == "Set dapt.layout.context_parallel_size 2: 68 GiB."
    run = job(num_nodes=4, tensor_model_parallel_size=8)
    text = "Set dapt.layout.distributed_optimizer true and dapt.layout.pipeline_model_parallel_size 2: 78 GiB."
    assert advised(LLAMA_2["70B"], run) == text


def test_what_cannot_fit_names_the_term_and_the_change() -> None:
    run = job(tensor_model_parallel_size=8)
    assert memory(LLAMA_2["70B"], run).total > H200
    text = advised(LLAMA_2["70B"], run, H200)
    assert text.startswith("No layout of these GPUs fits: the least is ") and "of which optimizer 96 GiB" in text
    assert text.endswith("Use more nodes, GPUs with more memory, or a smaller model.")
