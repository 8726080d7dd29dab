"""Multiple-choice questions: bad files, examples, prompts that fit, and scores of toy models known by hand."""

import json
import random
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.data.errors import BadRow, NotEnoughData
from tapeout.evals.choices import (
    ChoiceQuestion,
    ScoredQuestion,
    encode_choice,
    examples_for,
    prompt_of,
    read_choice_questions,
    score_choices,
)
from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.tasks.multiple_choice import TASK, Options
from tests.toys.byte_encoder import ByteEncoder
from tests.toys.toy_networks import ToyNetwork, bigrams

pytestmark = pytest.mark.environment("nemo")


class Bytes(ByteEncoder):
    """Bytes with a begin token."""

    bos = 257


def asked(number: int, **changed: Any) -> ChoiceQuestion:
    fields: dict[str, Any] = {"question": f"{number}?", "choices": ["no", "yes", "maybe"], "answer": number % 3}
    return ChoiceQuestion(**{**fields, **changed})


def toy(model: LoadedModel, network: ToyNetwork, context: int = 256) -> Any:
    return replace(model, network=network, encoder=Bytes(), facts=model.facts.model_copy(update={"context": context}))


def constant(**probabilities: float) -> ToyNetwork:
    """Return a network with the same prediction everywhere; the other bytes share what is left."""
    rest = (1 - sum(probabilities.values())) / (258 - len(probabilities))
    row = torch.full((258,), rest, dtype=torch.float64)
    for letter, probability in probabilities.items():
        row[ord(letter)] = probability
    return bigrams(row.repeat(258, 1))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not JSON"),
        ({"choices": ["a", "b"], "answer": 0}, "question: Field required"),
        ({"question": "q", "choices": ["a"], "answer": 0}, "choices: List should have at least 2 items"),
        ({"question": "q", "choices": ["a", "b"], "answer": 2}, "answer is 2, but the indices of the choices end at 1"),
        ({"question": "q", "choices": ["a", "b"], "answer": -1}, "answer: Input should be greater than or equal to 0"),
        ({"question": "q", "choices": ["a", "b"], "answer": True}, "answer: Input should be a valid integer"),
        ({"question": "q", "choices": ["a", "b"], "answer": "B"}, "answer: Input should be a valid integer"),
        ({"question": "q", "choices": ["a", "a"], "answer": 0}, "two choices are equal"),
        ({"question": "q", "choices": ["a", " "], "answer": 0}, "a choice is empty, or has white space at an end"),
        ({"question": "q", "choices": ["a", "b"], "answer": 0, "key": 1}, "key: Extra inputs are not permitted"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, reason: str) -> None:
    good = json.dumps({"question": "q", "choices": ["a", "b"], "answer": 1})
    path = tmp_path / "own.jsonl"
    path.write_text(f"{good}\n{row if isinstance(row, str) else json.dumps(row)}\n")
    with pytest.raises(BadRow, match="own.jsonl, line 2") as caught:
        read_choice_questions([path])
    assert reason in str(caught.value)


def test_repeated_questions_are_asked_once_and_order_is_that_of_digests(tmp_path: Path) -> None:
    rows = [asked(number) for number in range(20)]
    lines = [one.model_dump_json() for one in rows]
    (tmp_path / "a").write_text("\n".join(lines))
    random.Random(3).shuffle(lines)
    (tmp_path / "b").write_text("\n".join([*lines, *lines]))
    read = read_choice_questions([tmp_path / "a"])
    assert read == read_choice_questions([tmp_path / "b"]) and sorted(read, key=str) == sorted(rows, key=str)
    (tmp_path / "c").write_text("")
    with pytest.raises(NotEnoughData):
        read_choice_questions([tmp_path / "c"])


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(0, 8), st.integers(0, 5), st.randoms(use_true_random=False))
def test_examples_are_others_and_depend_on_contents_alone(total: int, count: int, seed: int, chance: Any) -> None:
    questions = [asked(number) for number in range(total)]
    chosen = examples_for(questions[0], questions, seed, count)
    assert len(chosen) == min(count, total - 1) == len({one.digest for one in chosen})
    assert all(one.question != questions[0].question for one in chosen)
    shuffled = [asked(number, explanation="edited") for number in range(total)]
    chance.shuffle(shuffled)
    assert [one.digest for one in examples_for(questions[0], shuffled, seed, count)] == [one.digest for one in chosen]
    if count and chosen:  # without an example, the others keep their order and the next one follows
        rest = [one for one in questions if one != chosen[0]]
        assert examples_for(questions[0], rest, seed, count)[: len(chosen) - 1] == chosen[1:]


def test_other_seeds_choose_other_examples_and_the_same_text_is_no_example() -> None:
    questions = [asked(number) for number in range(30)]
    assert len({tuple(one.digest for one in examples_for(questions[0], questions, seed, 5)) for seed in range(8)}) == 8
    twin = asked(0, choices=["no", "yes"])
    assert examples_for(questions[0], [questions[0], twin], 1, 5) == []


def test_prompts() -> None:
    first, second = asked(1), asked(2)
    assert prompt_of(second, [first], "text") == "Question: 1?\nAnswer: yes\n\nQuestion: 2?\nAnswer:"
    letters = "A. no\nB. yes\nC. maybe\nAnswer:"
    assert prompt_of(second, [first], "letter") == f"Question: 1?\n{letters} B\n\nQuestion: 2?\n{letters}"


def scored(model: Any, questions: list[ChoiceQuestion], scoring: Any = "text", shots: int = 2) -> list[ScoredQuestion]:
    return score_choices(model, questions, [1, 2], shots, scoring, 512)


def test_log_likelihoods_of_a_toy_model_by_hand(model: LoadedModel) -> None:
    """Every letter has a fixed probability, so a choice has the product of those of its letters and of the space."""
    shares = {"n": 0.1, "o": 0.2, "y": 0.05, "e": 0.3, "s": 0.15, " ": 0.1}
    rest = log(0.1 / 252)
    space = log(shares[" "])
    by_hand = [space + log(0.1) + log(0.2), space + log(0.05) + log(0.3) + log(0.15)]
    by_hand.append(space + 4 * rest + log(0.3))  # m, a, y, b, e
    by_hand[2] += log(0.05) - rest
    questions = [asked(number) for number in range(6)]
    results = scored(toy(model, constant(**shares)), questions)
    for one in results:
        for attempt in one.attempts:
            assert attempt.log_likelihoods == pytest.approx(by_hand, abs=1e-4)
            assert one.chosen(attempt) == 0
            assert one.chosen(attempt, normalized=True) == max(
                range(3), key=lambda index: by_hand[index] / len(["no", "yes", "maybe"][index])
            )
    assert [one.accuracy() for one in results] == [1.0, 0.0, 0.0] * 2


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_model_that_always_prefers_one_letter_is_right_where_it_is(model: LoadedModel, position: int) -> None:
    letters = {"ABC"[index]: 0.5 if index == position else 0.1 for index in range(3)}
    questions = [asked(number) for number in range(7)]
    results = scored(toy(model, constant(**letters), context=512), questions, "letter")
    assert {one.chosen(attempt) for one in results for attempt in one.attempts} == {position}
    right = sum(one.accuracy() for one in results)
    assert right == sum(number % 3 == position for number in range(7))


def test_a_model_that_knows_the_answers_is_right_and_with_exchanged_labels_wrong(model: LoadedModel) -> None:
    """The network reads the question's number in the prompt and predicts the bytes of its right choice."""
    questions = [asked(number) for number in range(8)]
    right = {one.question: f" {one.choices[one.answer]}".encode() for one in questions}

    def predict(row: list[int], index: int) -> torch.Tensor:
        text = bytes(byte for byte in row[: index + 1] if byte < 256).decode()
        question, _, answer = text.rpartition("Question: ")[2].partition("\nAnswer:")
        logits = torch.zeros(258, dtype=torch.float64)
        wanted = right.get(question, b"")
        if len(answer) < len(wanted):
            logits[wanted[len(answer)]] = 9.0
        return logits

    memorised = toy(model, ToyNetwork(predict))
    assert [one.accuracy() for one in scored(memorised, questions)] == [1.0] * 8
    exchanged = [asked(number, answer=(number + 1) % 3) for number in range(8)]
    assert [one.accuracy() for one in scored(memorised, exchanged)] == [0.0] * 8


def test_fewer_examples_where_the_context_is_short_and_questions_that_do_not_fit(model: LoadedModel) -> None:
    """A prompt of bytes: begin, 11 + 11 of the question itself, 24 to 27 of an example, 3 to 6 of the choice."""
    uniform = constant()
    questions = [asked(number) for number in range(8)]
    for context, shots in ((400, 5), (60, 1), (29, 0)):
        results = scored(toy(model, uniform, context), questions, shots=5)
        assert {attempt.shots for one in results for attempt in one.attempts} == {shots}
    long = asked(9, question="9" * 60)
    results = scored(toy(model, uniform, 60), [*questions, long], shots=1)
    assert {one.digest for one in results} == {one.digest for one in questions}
    assert scored(toy(model, uniform, 20), questions) == []


def test_the_examples_nearest_to_the_question_are_kept(model: LoadedModel) -> None:
    """The network prefers the first letter of the answer of the first example, so the example can be read off."""
    questions = [asked(number, choices=["aaaaa", "bbbbb", "ccccc"]) for number in range(8)]

    def predict(row: list[int], index: int) -> torch.Tensor:
        logits = torch.zeros(258, dtype=torch.float64)
        logits[row[len("Question: 0?\nAnswer: ") + 1]] = 5.0
        return logits

    for one in scored(toy(model, ToyNetwork(predict), 64), questions, shots=2):
        for attempt in one.attempts:
            assert attempt.shots == 1
            kept = examples_for(one.question, questions, attempt.seed, 2)[1]
            assert one.chosen(attempt) == kept.answer


def test_scores_do_not_depend_on_order_or_batches(model: LoadedModel) -> None:
    questions = [asked(number, question=f"q <= {number}?") for number in range(5)]
    expected = score_choices(model, questions, [1], 0, "text", 4096)
    assert len(expected) == 5
    for batch_tokens in (1, 100):
        again = score_choices(model, questions[::-1], [1], 0, "text", batch_tokens)
        for one, other in zip(expected, again[::-1], strict=True):
            assert one.digest == other.digest
            found, wanted = other.attempts[0].log_likelihoods, one.attempts[0].log_likelihoods
            assert found == pytest.approx(wanted, abs=2e-4)


def test_log_likelihood_of_a_real_model_by_hand(model: LoadedModel) -> None:
    """One forward pass for each token, and a plain softmax in double precision."""
    question = asked(1, choices=["input", "output reg"])
    [one] = score_choices(model, [question], [1], 0, "text", 4096)
    for choice, found in zip(question.choices, one.attempts[0].log_likelihoods, strict=True):
        ids, first = encode_choice(model, prompt_of(question, [], "text"), choice)
        assert model.encoder.decode(ids[first:]).strip() == choice
        total = 0.0
        for position in range(first, len(ids)):
            with torch.inference_mode():
                logits = model.network(torch.tensor([ids[:position]])).logits[0, -1].double()
            total += torch.log_softmax(logits, -1)[ids[position]].item()
        assert found == pytest.approx(total, abs=1e-4)


def test_the_task_reads_the_files_that_match(model: LoadedModel, tmp_path: Path) -> None:
    own = toy(model, constant(), 400)
    (tmp_path / "part").mkdir()
    (tmp_path / "part/a.jsonl").write_text("\n".join(asked(number).model_dump_json() for number in range(6)))
    (tmp_path / "notes.txt").write_text("no questions")
    result = TASK.score(own, {"questions": tmp_path}, Options(seeds=(4,), shots=1, max_questions=4))
    assert (result.in_source, result.left_out, len(result.questions)) == (6, 0, 4)
    whole = TASK.score(own, {"questions": tmp_path}, Options(seeds=(4,), shots=1))
    assert [one.digest for one in whole.questions[:4]] == [one.digest for one in result.questions]
    with pytest.raises(NotEnoughData, match="no file that matches x"):
        TASK.score(own, {"questions": tmp_path}, Options(files="x"))
    with pytest.raises(NotEnoughData, match="fits into the model's context of 20 tokens"):
        TASK.score(toy(model, constant(), 20), {"questions": tmp_path}, Options())
