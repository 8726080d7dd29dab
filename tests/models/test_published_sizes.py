"""Parameters of published models, from the numbers in their config.json; the counts are those of their pages."""

from typing import Any

import pytest

from tapeout.models.family import load_family

TIED = {"share_embeddings_and_output_weights": True}


def sizes(hidden: int, layers: int, heads: int, groups: int, ffn: int, **more: Any) -> dict[str, Any]:
    """Return options of an architecture."""
    shape = {"hidden_size": hidden, "num_layers": layers, "num_attention_heads": heads}
    return {**shape, "num_query_groups": groups, "ffn_hidden_size": ffn, **more}


MODELS = {
    "Llama 3.2 1B": ("llama", sizes(2048, 16, 32, 8, 8192, **TIED), 128_256, 1_235_814_400),
    "TinyLlama 1.1B": ("llama", sizes(2048, 22, 32, 4, 5632), 32_000, 1_100_048_384),
    "SmolLM2 135M": ("llama", sizes(576, 30, 9, 3, 1536, **TIED), 49_152, 134_515_008),
    "Mistral 7B v0.3": ("mistral", sizes(4096, 32, 32, 8, 14336), 32_768, 7_248_023_552),
    "Mistral Nemo": ("mistral", sizes(5120, 40, 32, 8, 14336, kv_channels=128), 131_072, 12_247_782_400),
    "Qwen2 0.5B": ("qwen2", sizes(896, 24, 14, 2, 4864, **TIED), 151_936, 494_032_768),
    "Qwen2.5 7B": ("qwen2", sizes(3584, 28, 28, 4, 18944), 152_064, 7_615_616_512),
    "Qwen3 0.6B": ("qwen3", sizes(1024, 28, 16, 8, 3072, kv_channels=128, **TIED), 151_936, 596_049_920),
    "Qwen3 8B": ("qwen3", sizes(4096, 36, 32, 8, 12288, kv_channels=128), 151_936, 8_190_735_360),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_a_published_model(name: str) -> None:
    family, options, rows, parameters = MODELS[name]
    assert load_family(family).Architecture.model_validate(options).parameter_count(rows) == parameters


@pytest.mark.parametrize("name", MODELS)
def test_tied_rows_multiply_as_separate_ones_do(name: str) -> None:
    family, options, rows, _ = MODELS[name]
    tied, separate = (
        load_family(family).Architecture.model_validate({**options, "share_embeddings_and_output_weights": value})
        for value in (True, False)
    )
    assert tied.forward_flop(rows, 1024) == separate.forward_flop(rows, 1024)
