"""Exact match and ROUGE-L."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tapeout.evals.matching import exact_match, longest_common_subsequence, rouge_l

pytestmark = pytest.mark.environment("nemo")


@pytest.mark.parametrize(
    ("generated", "expected", "equal"),
    [
        ("[7:0]", "[7:0]", True),
        ("  input  wire\n clk\t", "input wire clk", True),
        ("input wire clk", "input wireclk", False),
        ("Clk", "clk", False),
        ("a;", "a", False),
        ("the a", "a", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_exact_match(generated: str, expected: str, equal: bool) -> None:
    assert exact_match(generated, expected) is equal


def test_rouge_l_known_values() -> None:
    # Lin 2004, section 3.1: LCS(police killed the gunman, police kill the gunman) = 3 of 4 words on both sides
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert rouge_l("a b c d", "a c") == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert rouge_l("x", "y") == rouge_l("", "y") == rouge_l("x", "") == rouge_l(";", ";") == 0.0
    assert longest_common_subsequence(list("abcbdab"), list("bdcaba")) == 4


def test_rouge_l_equals_the_package() -> None:
    chooser = random.Random(0)
    words = ["input", "wire", "CLK", "[7:0]", "a_b", "8'hFF", "é", "endmodule;", "x", "\n"]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    for _ in range(300):
        left, right = (" ".join(chooser.choices(words, k=chooser.randrange(12))) for _ in range(2))
        assert rouge_l(left, right) == pytest.approx(scorer.score(right, left)["rougeL"].fmeasure)
