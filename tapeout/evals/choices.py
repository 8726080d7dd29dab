"""Multiple-choice questions: reading them, few-shot prompts, and the log-likelihood of each choice."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tapeout import progress
from tapeout.data.errors import BadRow, NotEnoughData
from tapeout.data.io.jsonl import read_jsonl
from tapeout.evals.task import DIGITS, Result

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

Scoring = Literal["text", "letter"]


class ChoiceQuestion(BaseModel):
    """A question with its choices, exactly one of which is right.

    Attributes:
        answer: index of the right choice, from 0.
        area, difficulty: groups of the report.
        id, explanation: for readers of the file and of the report.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    question: str = Field(min_length=1)
    choices: list[str] = Field(min_length=2, max_length=len(ascii_uppercase))
    answer: int = Field(ge=0)
    id: str = ""
    area: str = "all"
    difficulty: str = "all"
    explanation: str = ""

    @model_validator(mode="after")
    def _one_choice_is_right(self) -> Self:
        if self.answer >= len(self.choices):
            raise ValueError(f"answer is {self.answer}, but the indices of the choices end at {len(self.choices) - 1}")
        stripped = [choice.strip() for choice in self.choices]
        if not all(stripped) or stripped != self.choices:
            raise ValueError("a choice is empty, or has white space at an end")
        if len(set(stripped)) < len(stripped):
            raise ValueError("two choices are equal")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what is asked; other fields may be edited without another sample or other examples."""
        return sha256(orjson.dumps([self.question, self.choices, self.answer])).hexdigest()

    def block(self, scoring: Scoring) -> str:
        """Return the question as it is asked, up to where the answer begins."""
        letters = zip(ascii_uppercase, self.choices, strict=False) if scoring == "letter" else ()
        return "\n".join([f"Question: {self.question}", *(f"{name}. {text}" for name, text in letters), "Answer:"])

    def answers(self, scoring: Scoring) -> list[str]:
        """Return what is scored for each choice: its text, or its letter."""
        return self.choices if scoring == "text" else list(ascii_uppercase[: len(self.choices)])


class Attempt(Result):
    """A question asked once, after the examples that a seed chose.

    Attributes:
        shots: number of examples in the prompt.
        log_likelihoods: natural logarithm of the probability of each choice, given the prompt.
    """

    seed: int
    shots: int
    log_likelihoods: list[float]


class ScoredQuestion(Result):
    """A question with its attempts, one for each seed."""

    digest: str
    question: ChoiceQuestion
    attempts: list[Attempt]

    def chosen(self, attempt: Attempt, normalized: bool = False) -> int:
        """Return the index of the likeliest choice, the first of equal ones.

        Args:
            attempt: one of the attempts.
            normalized: divide each log-likelihood by the number of characters of the choice, as lm-eval does for
                ``acc_norm``.
        """
        sizes = [len(choice) if normalized else 1 for choice in self.question.choices]
        scores = [value / size for value, size in zip(attempt.log_likelihoods, sizes, strict=True)]
        return scores.index(max(scores))

    def accuracy(self, normalized: bool = False) -> float:
        """Return the fraction of attempts in which the likeliest choice is the right one."""
        right = [self.chosen(attempt, normalized) == self.question.answer for attempt in self.attempts]
        return sum(right) / len(right)


class MultipleChoice(Result):
    """Scores of one model.

    Attributes:
        scoring: what was scored.
        in_source: number of questions of the source; a sample of them is asked.
        left_out: questions that do not fit into the context even without examples.
        questions: the others, with all scores.
    """

    scoring: Scoring
    in_source: int
    left_out: int
    questions: list[ScoredQuestion]


def read_choice_questions(files: Sequence[Path]) -> list[ChoiceQuestion]:
    """Return the questions of JSON Lines files in sample order; one that repeats an earlier one is left out.

    The order is that of a hash of the digests, so that a limit on their number takes the same ones for every model.

    Raises:
        BadRow: a line is not such a question.
        NotEnoughData: there is no question.
    """
    distinct: dict[str, ChoiceQuestion] = {}
    for path in files:
        for number, row in enumerate(read_jsonl(path), start=1):
            try:
                question = ChoiceQuestion.model_validate(row)
            except ValidationError as error:
                first = error.errors()[0]
                name = ".".join(map(str, first["loc"]))
                raise BadRow.of_line(path, number, f"{name + ': ' if name else ''}{first['msg']}") from error
            distinct.setdefault(question.digest, question)
    if not distinct:
        raise NotEnoughData(
            "The source of multiple-choice questions has none.", "Name a source whose files have a question a line."
        )
    return sorted(distinct.values(), key=lambda question: _key("evaluation", question.digest))


def examples_for(
    question: ChoiceQuestion, others: Sequence[ChoiceQuestion], seed: int, count: int
) -> list[ChoiceQuestion]:
    """Return up to ``count`` examples for a question, never the question itself.

    They are those with the smallest hashes of seed, question and example, so they depend neither on positions nor, as
    long as they stay in the file, on other questions that come or go. Questions with the same text are left out too.
    """
    candidates = [other for other in others if other.question != question.question]
    return sorted(candidates, key=lambda other: _key(str(seed), question.digest, other.digest))[:count]


def prompt_of(question: ChoiceQuestion, examples: Sequence[ChoiceQuestion], scoring: Scoring) -> str:
    """Return the examples with their right answers, and the question; blank lines are between them."""
    shown = (f"{one.block(scoring)} {one.answers(scoring)[one.answer]}" for one in examples)
    return "\n\n".join([*shown, question.block(scoring)])


def encode_choice(model: "LoadedModel", prompt: str, choice: str) -> tuple[list[int], int]:
    """Return the tokens of a prompt with a choice after a space, and the index of the choice's first token.

    As in lm-eval, both are encoded together, and the choice is what follows the tokens of the prompt alone.
    """
    begin = model.encoder.bos_ids
    whole = [*begin, *model.encoder.encode(f"{prompt} {choice}")]
    return whole, min(len(begin) + len(model.encoder.encode(prompt)), len(whole) - 1)


def score_choices(
    model: "LoadedModel",
    questions: Sequence[ChoiceQuestion],
    seeds: Sequence[int],
    shots: int,
    scoring: Scoring,
    batch_tokens: int,
) -> list[ScoredQuestion]:
    """Score each choice of each question once for each seed; questions that do not fit into the context are left out.

    Of the examples, those nearest to the question are kept: as many as fit into the context with the longest choice. A
    question that does not fit without any is left out.
    """
    from tapeout.evals.alternatives import Alternatives, nats_of_alternatives
    from tapeout.evals.likelihood import Window

    groups: list[Alternatives] = []
    total = 0
    planned: list[tuple[ChoiceQuestion, list[tuple[int, int, range]]]] = []
    progress.report(0, 2, now="prompts")
    for question in questions:
        attempts = []
        for seed in seeds:
            examples = examples_for(question, questions, seed, shots)
            encoded = next(_fitting(model, question, examples, scoring), None)
            if encoded is None:
                break
            groups.append(Alternatives([Window(total + i, ids, begin) for i, (ids, begin) in enumerate(encoded[1])]))
            attempts.append((seed, encoded[0], range(total, total := total + len(encoded[1]))))
        else:
            planned.append((question, attempts))
    progress.report(1, 2, now="choices")
    sums = nats_of_alternatives(model.network, groups, total, batch_tokens)
    return [
        ScoredQuestion(
            digest=question.digest,
            question=question,
            attempts=[
                Attempt(seed=seed, shots=used, log_likelihoods=[round(-sums[index], DIGITS) for index in indices])
                for seed, used, indices in attempts
            ],
        )
        for question, attempts in planned
    ]


def _fitting(
    model: "LoadedModel", question: ChoiceQuestion, examples: Sequence[ChoiceQuestion], scoring: Scoring
) -> Iterator[tuple[int, list[tuple[list[int], int]]]]:
    """Yield number of examples and tokens of each choice for the prompts that fit, those with most examples first."""
    for used in range(len(examples), -1, -1):
        prompt = prompt_of(question, examples[len(examples) - used :], scoring)
        encoded = [encode_choice(model, prompt, choice) for choice in question.answers(scoring)]
        if max(len(ids) for ids, _ in encoded) <= model.facts.context:
            yield used, encoded


def _key(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
