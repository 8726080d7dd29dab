"""Questions and answers: sample, loss, exact match and ROUGE-L."""

import pytest

from tapeout.evals.answers import RougeL, encode_questions, exact_match, sample_questions, score_answers
from tapeout.evals.loaded_model import LoadedModel
from tests.evals.tasks.test_bits_per_byte import bits_by_hand

pytestmark = pytest.mark.environment("nemo")


def test_loss_counts_the_answer_only(model: LoadedModel) -> None:
    question = {"input": "How wide is q?", "output": "[7:0]", "category": "width", "digest": "digest"}
    [row] = encode_questions(model, [question])
    prompt = [1, *model.encoder.encode("How wide is q?\n### Answer: ")]
    answer = [*model.encoder.encode("[7:0]"), 2]
    assert (list(row.prompt), list(row.answer)) == (prompt, answer)
    [score] = score_answers(model, [row], 4096)
    expected = bits_by_hand(model, prompt + answer) - bits_by_hand(model, prompt)
    assert score.nats / 0.6931471805599453 == pytest.approx(expected, abs=2e-3)
    assert (score.tokens, score.bytes) == (len(answer), 5)


def test_questions_are_balanced() -> None:
    rows = [
        {"category": category, "digest": f"{category}{index}"}
        for category, count in (("a", 100), ("b", 10), ("c", 2))
        for index in range(count)
    ]
    sample = sample_questions(rows, 24)
    assert [sum(row["category"] == category for row in sample) for category in "abc"] == [12, 10, 2]
    assert sample == sample_questions(reversed(rows), 24)
    assert len(sample_questions(rows, 1000)) == 112


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


@pytest.mark.parametrize(
    ("generated", "expected", "value"),
    [
        # Lin 2004, section 3.1: the longest common subsequence has 3 of 4 words of both texts
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("a b c d", "a c", 2 / 3),
        ("INPUT wire [7:0]", "input, wire [7;0]", 1.0),
        ("x", "y", 0.0),
        ("", "y", 0.0),
        ("x", "", 0.0),
        (";", ";", 0.0),
    ],
)
def test_rouge_l_known_values(generated: str, expected: str, value: float) -> None:
    assert RougeL()(generated, expected) == pytest.approx(value)
