"""A SentencePiece model of the Llama family's settings, made in a moment."""

from pathlib import Path

import pytest

from tests.small_tokenizer import train

WORDS = "module always_ff @(posedge clk) begin if (rst) q <= '0; else q <= d; end endmodule the setting of a query "


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the model."""
    lines = (f"{WORDS} {number}   {WORDS.upper()}" for number in range(50))
    made = train(lines, allow_whitespace_only_pieces=True, split_digits=True, hard_vocab_limit=False)
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(made)
    return path
