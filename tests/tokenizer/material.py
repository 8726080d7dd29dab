"""A small base model and texts: a SentencePiece BPE model, and SystemVerilog of three invented cores."""

from typing import Any

from tapeout.config.tokenizer import Tokenizer
from tapeout.encoder.vocabulary import SentencePieceVocabulary
from tests.small_tokenizer import train

PROSE = [
    "The model of a design is written once and read many times; a reader should find what it does without help.",
    "A query returns rows in the order of their keys. When two keys are equal the first row that was added wins.",
    "This setting is the name of the class that handles a request, and its default is the one named above.",
    "Pack my box with five dozen liquor jugs; QUICK ZEPHYRS BLOW, VEXING DAFT JIM_K [0-9] (x=1, y+2) <z> 'q' \"%d\" #!",
    "Always write tests for the counter that you change: input and output are compared by value and by width.",
]
CORE = """module {name}_counter #(parameter int WIDTH = {width}) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [WIDTH-1:0] data_i,
  output logic [WIDTH-1:0] data_o
);
  logic [WIDTH-1:0] {name}_count_q, {name}_count_d;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {name}_count_q <= '0;
    end else begin
      {name}_count_q <= {name}_count_d;
    end
  end
  assign {name}_count_d = {name}_count_q + data_i;
\tassign data_o = {name}_count_q;
endmodule
"""


def train_base() -> bytes:
    """Return a SentencePiece model with the settings of the Llama family: BPE, identity, byte fallback."""
    options = {"allow_whitespace_only_pieces": True, "split_digits": True, "character_coverage": 1.0}
    return train(PROSE * 20, 440, **options)


def core(name: str, copies: int) -> list[str]:
    """Return the documents of one core."""
    return [CORE.format(name=name, width=4 * number) for number in range(1, copies + 1)]


BASE = train_base()
VOCABULARY = SentencePieceVocabulary(BASE)
DOMAIN = {"alpha": core("alpha", 6), "beta": core("beta", 5), "zqx": core("zqx", 9)}
GENERAL = {"prose": PROSE * 5}


def job(**changes: Any) -> Tokenizer:
    """Return parameters for texts of this size."""
    settings = {"new_pieces": 24, "multiple": 4, "min_count": 3, "min_sources": 2, "max_general_rate": 1e-3}
    return Tokenizer.model_validate(settings | {"max_general_change": 0.05, "samples": 8} | changes)
