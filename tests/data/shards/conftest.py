"""A small tokenizer for the tests of shards."""

from pathlib import Path

import pytest

from tests.small_tokenizer import train

WORDS = "module always_ff @(posedge clk) begin if (rst) q <= '0; else q <= d; end endmodule the setting of a query "


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a SentencePiece model with the settings of the Llama family."""
    lines = (f"{WORDS} {number}   {WORDS.upper()}" for number in range(50))
    content = train(lines, allow_whitespace_only_pieces=True, split_digits=True, hard_vocab_limit=False)
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(content)
    return path
