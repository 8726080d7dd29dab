"""Questions and answers: sample, prompts, loss, exact match and ROUGE-L."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tapeout.data.encode.encoded_rows import read_encoded
from tapeout.data.encode.encoded_set import encode_set
from tapeout.evals.answers import Options, RougeL, answer_questions, exact_match, score_answers
from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.questions import Question, encode_questions, sample_questions
from tests.evals.conftest import encoding
from tests.evals.tasks.test_bits_per_byte import bits_by_hand

pytestmark = pytest.mark.environment("nemo")


def asked_of(model: LoadedModel, rows: list[dict[str, Any]]) -> list[Question]:
    """Return the questions that the evaluation asks a model."""
    return encode_questions(model.encoder, model.encoding, model.facts.context, rows)


def test_loss_counts_the_answer_only(model: LoadedModel) -> None:
    question = {"input": "How wide is q?", "output": "[7:0]", "category": "width", "digest": "digest"}
    [row] = asked_of(model, [question])
    prompt = [1, *model.encoder.encode("How wide is q?\n### Answer: ")]
    answer = [*model.encoder.encode("[7:0]"), 2]
    assert (list(row.prompt), list(row.answer)) == (prompt, answer)
    [score] = score_answers(model, [row], 4096)
    expected = bits_by_hand(model, prompt + answer) - bits_by_hand(model, prompt)
    assert score.nats / 0.6931471805599453 == pytest.approx(expected, abs=2e-3)
    assert (score.tokens, score.bytes) == (len(answer), 5)


def conversation(*texts: str) -> dict[str, Any]:
    turns = [{"from": ("User", "Assistant")[number % 2], "value": text} for number, text in enumerate(texts)]
    own = {"category": "chat", "source": "oasst", "licence": "Apache-2.0", "digest": "d"}
    return {**own, "conversations": turns, "system": "Be brief.", "mask": "User", "type": None}


CHATML = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.parametrize(
    ("tokens", "template", "stop"),
    [("aligner", None, "\x11"), ("extra_id", None, "<extra_id_1>"), ("template", CHATML, "</s>")],
)
def test_the_last_answer_of_a_conversation_is_asked_for_with_the_trained_prompt(
    model: LoadedModel, folder: Path, tmp_path: Path, tokens: str, template: str | None, stop: str
) -> None:
    """Prompt and answer together are the ids of training, and the answer is what has a loss after the last prompt."""
    row = conversation("q?", "[7:0]", "d?", "clk")
    job = encoding(tokens, template).model_copy(update={"seq_length": 200})
    rows = tmp_path / "rows"
    rows.mkdir()
    for split in ("train", "validation", "test"):
        (rows / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    encode_set(rows, folder / "tokenizer.model", job, tmp_path / "encoded")
    [(ids, mask)] = read_encoded(tmp_path / "encoded" / "test.jsonl", 200)
    wide = replace(model, encoding=job, facts=model.facts.model_copy(update={"context": 201}))
    [question] = asked_of(wide, [row])
    assert [*question.prompt, *question.answer] == list(ids)
    last = len(mask) - list(mask)[::-1].index(0)
    assert len(question.prompt) == last, "the answer is the last run of tokens with a loss"
    assert (question.expected, question.stop) == ("clk", stop)
    assert question.asked == "User: q?\n\nAssistant: [7:0]\n\nUser: d?"


def test_turns_that_do_not_fit_are_left_out_and_the_question_is_another(model: LoadedModel, verilog: str) -> None:
    fits = conversation("q?", "clk")
    [short] = asked_of(model, [fits])
    [cut] = asked_of(model, [conversation("q?", "clk", verilog, verilog)])
    assert (cut.prompt, cut.answer, cut.digest) == (short.prompt, short.answer, "d/3")
    assert asked_of(model, [conversation(verilog * 3, "clk"), conversation("a \x11 mark", "clk")]) == []


def test_a_paragraph_is_asked_with_its_own_prompt(model: LoadedModel, verilog: str) -> None:
    """A row with a context has the whole prompt in its input, and is shortened as in training."""
    text = f"{verilog * 2}\nWidth?"
    row = {"input": text, "output": " [7:0]", "context": [0, len(verilog) * 2], "answer": None}
    [question] = asked_of(model, [{**row, "category": "squad", "digest": "d"}])
    prompt = model.encoder.decode(list(question.prompt[1:]))
    assert "### Answer" not in prompt and prompt.endswith("Width?") and len(prompt) < len(text)


def test_an_answer_ends_at_the_mark_of_the_next_turn(model: LoadedModel) -> None:
    """The model is made to continue with the expected answer and its end; what follows the mark is not the answer."""
    [question] = asked_of(model, [conversation("q?", "clk")])
    planned = [*question.answer, *model.encoder.encode("more")]
    prompt = len(question.prompt)

    class Planned(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, **_: Any) -> Any:
            chosen = [planned[max(0, position - prompt + 1)] for position in position_ids[0].tolist()]
            hidden = torch.nn.functional.one_hot(torch.tensor([chosen]), 320).float()
            return type("Output", (), {"last_hidden_state": hidden})

    network: Any = type("Network", (), {"model": Planned(), "lm_head": torch.nn.Identity()})
    [answer] = answer_questions(replace(model, network=network), [question], Options(max_new_tokens=20))
    assert (answer.generated.strip(), answer.exact, answer.finished) == ("clk", True, True)
    assert answer.tokens == len(question.answer)


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
