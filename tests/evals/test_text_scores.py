"""Scores of an answer against an expected one, and against reference implementations."""

from random import Random

import pytest

from tapeout.evals.text_scores import TOKEN, RougeL, exact_match, squad_exact, squad_f1, token_f1

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
        (
            "\u0442\u0430\u043a\u0442\u043e\u0432\u044b\u0439 \u0432\u0445\u043e\u0434",
            "\u0442\u0430\u043a\u0442\u043e\u0432\u044b\u0439 \u0441\u0438\u0433\u043d\u0430\u043b",
            0.5,
        ),  # words of Cyrillic
        ("\u65f6\u949f\u4fe1\u53f7", "\u65f6\u949f", 2 / 3),  # characters of Chinese
        ("\u0915\u0947", "\u0915\u093e", 0.0),  # vowel signs of Devanagari distinguish words
        ("cafe\u0301", "caf\u00e9", 1.0),
    ],
)
def test_rouge_l_known_values(generated: str, expected: str, value: float) -> None:
    assert RougeL()(generated, expected) == pytest.approx(value)


WORDS = ("the", "The", "a", "an", "fifo", "FIFO", "[7:0]", "clk,", "clk", "(a)", "an.", "it's", "theme", "--", "\u00e4")


def rows() -> list[tuple[str, str]]:
    """Return 200 pairs of generated and expected answers that share words, some of them empty."""
    chance = Random(8)
    answers = []
    for _ in range(200):
        expected = chance.choices(WORDS, k=chance.randint(0, 6))
        kept = [word for word in expected if chance.random() < 0.8] + chance.choices(WORDS, k=chance.randint(0, 2))
        answers.append((chance.choice((" ", "  ", "\n")).join(kept), " ".join(expected)))
    return answers


def test_squad_scores_equal_those_of_torchmetrics_on_200_rows() -> None:
    from torchmetrics.functional.text.squad import squad

    differences = 0
    for generated, expected in rows():
        reference = squad(
            [{"prediction_text": generated, "id": "0"}],
            [{"answers": {"answer_start": [0], "text": [expected]}, "id": "0"}],
        )
        assert 100 * squad_exact(generated, expected) == reference["exact_match"]
        assert 100 * squad_f1(generated, expected) == pytest.approx(float(reference["f1"]), abs=1e-4)
        differences += squad_exact(generated, expected) != exact_match(generated, expected)
    assert differences > 20


def test_rouge_l_of_ascii_equals_that_of_the_package_on_200_rows() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    ours, package = RougeL(), RougeScorer(["rougeL"])
    for generated, expected in rows():
        one, other = (text.encode("ascii", "ignore").decode() for text in (generated, expected))
        assert ours(one, other) == package.score(other, one)["rougeL"].fmeasure


def test_token_f1_equals_precision_and_recall_by_hand_on_200_rows() -> None:
    for generated, expected in rows():
        ours, left = TOKEN.findall(generated), TOKEN.findall(expected)
        length = len(left)
        found = 0
        for token in ours:
            if token in left:
                left.remove(token)
                found += 1
        if not ours or not length:
            assert token_f1(generated, expected) == float(len(ours) == length)
        elif found == 0:
            assert token_f1(generated, expected) == 0
        else:
            precision, recall = found / len(ours), found / length
            by_hand = 2 * precision * recall / (precision + recall)
            assert token_f1(generated, expected) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(
    ("generated", "expected", "value"),
    [
        ("input [7:0] a;", "input [7:0] a;", 1.0),
        ("[7:0] a; input", "input [7:0] a;", 1.0),
        ("input[7:0]a", "input [7:0] a;", 14 / 15),
        ("A", "a", 0.0),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_token_f1_known_values(generated: str, expected: str, value: float) -> None:
    assert token_f1(generated, expected) == pytest.approx(value)
