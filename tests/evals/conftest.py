"""A tiny random Llama with a tokenizer trained on a few lines: real formats, milliseconds of work."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapeout.config.computation import Computation
from tapeout.config.instructions import EncodeJob

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

TEXT = "module fifo #(parameter WIDTH = 8) (input wire clk, output reg [WIDTH-1:0] q);\n  assign q = d;\nendmodule\n"


def encoding(tokens: str = "aligner", chat_template: str | None = None) -> EncodeJob:
    """Return how rows become token ids, as in the default configuration."""
    prompt = {"tokens": tokens, "chat_template": None if chat_template is None else ""}
    template = "{input}\n### Answer: {output}"
    return EncodeJob.model_validate(
        {"prompt": prompt, "chat_template": chat_template, "template": template, "seq_length": 64}
    )


@pytest.fixture(scope="session")
def verilog() -> str:
    """Return a few lines that the tokenizer was trained on."""
    return TEXT


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a Hugging Face folder with the tokenizer inside."""
    import torch
    from sentencepiece import SentencePieceTrainer
    from transformers import LlamaConfig, LlamaForCausalLM

    proto = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines() * 5),
        model_writer=proto,
        model_type="bpe",
        vocab_size=320,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("tiny")
    (path / "tokenizer.model").write_bytes(proto.getvalue())
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def model(folder: Path) -> "LoadedModel":
    """The model in that folder, with the prompt template of the default configuration."""
    from tapeout.evals.loaded_model import load

    return load(folder, Computation(threads=1), encoding())
