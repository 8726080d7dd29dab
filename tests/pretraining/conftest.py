"""A SentencePiece model of the Llama family's settings, made in a moment."""

import io
from pathlib import Path

import pytest
import sentencepiece

WORDS = "module always_ff @(posedge clk) begin if (rst) q <= '0; else q <= d; end endmodule the setting of a query "


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the model."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{WORDS} {number}   {WORDS.upper()}" for number in range(50)),
        model_writer=made,
        model_type="bpe",
        vocab_size=400,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        split_digits=True,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(made.getvalue())
    return path
