"""Questions and answers: sample, prompts, loss, and how answers end."""

import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch

from tapeout.data.encode.encoded_rows import read_encoded
from tapeout.data.encode.encoded_set import encode_set
from tapeout.evals.answers import Answer, Options, TurnScore, answer_questions, score_answers, score_turns
from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.questions import Question, encode_questions, sample_questions
from tapeout.evals.tasks.instruction_answers import by_turn
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


def planned_answer(model: LoadedModel, question: Question, tokens: list[int]) -> Answer:
    """Return the answer of a model that is made to generate given tokens, and padding after them."""
    prompt = len(question.prompt)

    def predict(row: list[int], positions: list[int]) -> torch.Tensor:
        steps = [max(0, position - prompt + 1) for position in positions]
        chosen = [tokens[step] if step < len(tokens) else 5 for step in steps]
        return torch.nn.functional.one_hot(torch.tensor(chosen), 320).float()

    class Planned(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, **_: Any) -> Any:
            hidden = [predict(*row) for row in zip(input_ids.tolist(), position_ids.tolist(), strict=True)]
            return type("Output", (), {"last_hidden_state": torch.stack(hidden)})

    parts = {"model": Planned(), "lm_head": torch.nn.Identity(), "device": torch.device("cpu")}
    network: Any = type("Network", (), parts)
    [answer] = answer_questions(replace(model, network=network), [question], Options(max_new_tokens=20))
    return answer


def test_an_answer_ends_at_the_mark_of_the_next_turn(model: LoadedModel) -> None:
    """The model is made to continue with the expected answer and its end; what follows the mark is not the answer."""
    [question] = asked_of(model, [conversation("q?", "clk")])
    answer = planned_answer(model, question, [*question.answer, *model.encoder.encode("more")])
    assert (answer.generated.strip(), answer.exact, answer.finished, answer.well_formed) == ("clk", True, True, True)
    assert answer.tokens == len(question.answer)


@pytest.mark.parametrize(
    ("tokens", "template"),
    [("aligner", None), ("extra_id", None), ("template", CHATML)],
    ids=["aligner", "extra_id", "template"],
)
@pytest.mark.parametrize(
    ("inner", "end", "form"),
    [
        ("clk", "expected", (True, True)),
        ("clk", "none", (False, False)),
        ("clk", "bos", (False, False)),
        ("clk <s>", "expected", (True, False)),
        ("clk bos", "expected", (True, False)),
    ],
)
def test_end_and_form_of_answers(
    model: LoadedModel, tokens: str, template: str | None, inner: str, end: str, form: tuple[bool, bool]
) -> None:
    """The name of a control piece as text, and a control piece in the middle, make an answer malformed."""
    wide = replace(model, encoding=encoding(tokens, template), facts=model.facts.model_copy(update={"context": 200}))
    [question] = asked_of(wide, [conversation("q?", "clk")])
    encoder = model.encoder
    written = encoder.encode(inner.removesuffix(" bos")) + (encoder.bos_ids if inner.endswith("bos") else [])
    length = next(n for n in range(9) if encoder.decode(list(question.answer[:n])).strip() == "clk")
    ending = {"expected": list(question.answer[length:]), "none": [], "bos": encoder.bos_ids}[end]
    answer = planned_answer(wide, question, [*written, *ending])
    assert (answer.finished, answer.well_formed) == form


def test_an_end_token_in_place_of_the_mark_is_not_the_right_end(model: LoadedModel) -> None:
    [question] = asked_of(model, [conversation("q?", "clk")])
    answer = planned_answer(model, question, [*model.encoder.encode("clk"), model.encoder.eos])
    assert (answer.exact, answer.finished, answer.well_formed) == (True, True, False)


def test_each_answer_of_a_conversation_has_its_own_loss(model: LoadedModel) -> None:
    """First, second and last answer, each with what ends it, given all turns before it."""
    wide = replace(model, facts=model.facts.model_copy(update={"context": 200}))
    talk = conversation("q?", "[7:0]", "d?", "clk", "e?", "reg q")
    [question] = asked_of(wide, [talk])
    ids = [*question.prompt, *question.answer]
    text = [model.encoder.decode(ids[first:last]) for first, last in question.answers]
    assert text == ["[7:0]\n\x11", "clk\n\x11", "reg q\n\x11"]
    scores = score_turns(wide, [question], 4096)
    assert [(score.digest, score.turn) for score in scores] == [("d", 1), ("d", 2), ("d", 3)]
    by_hand = [bits_by_hand(model, ids[:last]) - bits_by_hand(model, ids[:first]) for first, last in question.answers]
    assert [score.nats / log(2) for score in scores] == pytest.approx(by_hand, abs=4e-3)
    [last] = score_answers(wide, [question], 4096)
    assert (scores[-1].nats, scores[-1].tokens) == (pytest.approx(last.nats, abs=1e-3), last.tokens)


def test_losses_by_turn_are_sums_over_the_answers_of_a_conversation(model: LoadedModel) -> None:
    turns = [TurnScore(digest="d", turn=turn, tokens=turn, nats=10.0 * turn) for turn in range(1, 5)]
    turns.append(TurnScore(digest="e", turn=1, tokens=5, nats=50.0))
    assert {
        turn: [(unit.digest, unit.numerator, unit.denominator) for unit in units]
        for turn, units in by_turn(turns).items()
    } == {
        "first": [("d", 10, 1), ("e", 50, 5)],
        "second": [("d", 20, 2)],
        "later": [("d", 70, 7)],
    }
    assert by_turn([]) == {}


def test_each_score_is_that_against_the_nearest_accepted_answer(model: LoadedModel) -> None:
    row = {"input": "Width?", "output": "[7:0]", "accepted": ["[7:0]", "the WIRE clk"], "category": "c"}
    [question] = asked_of(model, [{**row, "digest": "d", "source": "s", "licence": "ISC"}])
    near = planned_answer(model, question, [*model.encoder.encode("wire clk"), model.encoder.eos])
    assert (near.exact, near.squad_exact, near.squad_f1, near.rouge_l) == (False, True, 1.0, 0.8)
    assert near.token_f1 == pytest.approx(2 / 5)
    other = planned_answer(model, question, [*model.encoder.encode("the  WIRE clk"), model.encoder.eos])
    assert other.exact and other.well_formed and other.expected == "[7:0]"


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
