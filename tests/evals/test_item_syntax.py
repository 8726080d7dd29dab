"""Syntax of continuations, by the parser of the corpus."""

import pytest

from tapeout.evals.item_syntax import has_next_item, is_correct

pytestmark = pytest.mark.environment("data")

PREFIX = "module m (input a, output b);\n  wire c;\n"


@pytest.mark.parametrize(
    ("continuation", "correct"),
    [
        ("  assign c = a;\n", True),
        ("  assign c = a; then nonsense ) of all (", True),
        ("  always @(posedge a) begin\n    c <= 1;\n  end", True),
        ("  adder sum (.a(a), .b(b));", True),
        ("endmodule", True),
        ("  // ; a comment\n  wire d;", True),
        ("  always @(posedge a) begin\n    c <= 1;\n", False),
        ("  assign c = = a;", False),
        ("  assign c = a", False),
        ("  ;", False),
        ("  // assign c = a;", False),
        ("  end", False),
        ("", False),
    ],
)
def test_an_item_counts_up_to_its_natural_end(continuation: str, correct: bool) -> None:
    assert has_next_item(PREFIX, continuation) is correct


def test_a_file_with_errors_of_its_own_is_recognized() -> None:
    assert is_correct(PREFIX)
    assert not is_correct("module m (input a;\n  wire c;\n")
    assert not is_correct("module m;\n  `UNKNOWN_MACRO(a)\n  wire c;\n")
