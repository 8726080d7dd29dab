"""Answers to questions: loss of expected answers, generation, and comparison with expected answers."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from tapeout import progress
from tapeout.config.task_options import QuestionOptions
from tapeout.data.encode.chat import MARKS
from tapeout.evals.questions import Question
from tapeout.evals.task import DIGITS, Result
from tapeout.evals.text_scores import RougeL, exact_match, squad_exact, squad_f1, token_f1

if TYPE_CHECKING:
    from tapeout.encoder.interface import Encoder
    from tapeout.evals.loaded_model import LoadedModel


class Options(QuestionOptions):
    """Options for sampling questions and generating answers."""

    max_rows: int = Field(
        160,
        ge=1,
        description="Maximum number of rows of a set that are scored and answered: the same number from each category, "
        "chosen by digest.",
    )
    max_new_tokens: int = Field(
        96, ge=1, description="Maximum length of a generated answer. The result counts longer expected answers."
    )
    generation_batch_rows: int = Field(
        64, ge=1, description="Rows that are answered in one batch; the last bits of a float sum depend on it."
    )


class AnswerScore(Result):
    """Negative log-likelihood, in nats, of the expected answer and what ends it, given the prompt."""

    digest: str
    category: str
    tokens: int
    bytes: int
    nats: float


class TurnScore(Result):
    """Negative log-likelihood, in nats, of an answer of a conversation and what ends it, given all before it.

    Attributes:
        digest: digest of the row.
        turn: number of the answer among those that are trained on, from 1.
    """

    digest: str
    turn: int
    tokens: int
    nats: float


class Answer(Result):
    """A generated answer and its comparison with the accepted ones: each score is that of the nearest.

    Attributes:
        prompt, generated, expected: the texts.
        accepted: texts that count as right, ``expected`` among them.
        exact, token_f1, rouge_l, squad_exact, squad_f1: see ``tapeout.evals.text_scores``.
        tokens: length of the generated answer.
        finished: whether the model ended the answer itself.
        well_formed: whether it ended it with the token or mark that ends the expected one, and the answer has no
            control token, no name of one and no mark of the prompt.
    """

    digest: str
    category: str
    source: str
    licence: str
    prompt: str
    generated: str
    expected: str
    accepted: list[str]
    exact: bool
    token_f1: float
    rouge_l: float
    squad_exact: bool
    squad_f1: float
    tokens: int
    finished: bool
    well_formed: bool


class InstructionAnswers(Result):
    """Scores and answers of one model.

    Attributes:
        template: prompt template that was used.
        rows_in_test: rows of the test set; a sample of them is evaluated.
        left_out: rows that do not fit into the context, shortened as in training.
        expected_over_limit: rows whose expected answer is longer than ``max_new_tokens``.
        turn_scores: scores of every answer of the conversations.
    """

    template: str
    rows_in_test: int
    left_out: int
    expected_over_limit: int
    answer_scores: list[AnswerScore]
    turn_scores: list[TurnScore]
    answers: list[Answer]


def score_answers(model: "LoadedModel", questions: Sequence[Question], batch_tokens: int) -> list[AnswerScore]:
    """Score the expected answers, end included; the prompt is given and does not count (answer-only loss).

    The mean over tokens, ``sum(nats) / sum(tokens)``, is the test loss of fine-tuning, with the loss mask of training
    and weighted by token. Models with different tokenizers are comparable by ``sum(nats) / sum(bytes)`` only.
    """
    from tapeout.evals.likelihood import Window, nats

    windows = [Window(index, [*one.prompt, *one.answer], len(one.prompt)) for index, one in enumerate(questions)]
    sums = nats(model.network, windows, len(questions), batch_tokens)
    return [
        AnswerScore(
            digest=question.digest,
            category=question.row["category"],
            tokens=len(question.answer),
            bytes=len(question.expected.encode()),
            nats=round(sums[index], DIGITS),
        )
        for index, question in enumerate(questions)
    ]


def score_turns(model: "LoadedModel", questions: Sequence[Question], batch_tokens: int) -> list[TurnScore]:
    """Score every answer of the conversations that fits into the context, each given all turns before it."""
    from tapeout.evals.likelihood import Window, nats

    turns = [
        (question, number, first, last)
        for question in questions
        for number, (first, last) in enumerate(question.answers, start=1)
    ]
    windows = [
        Window(index, [*question.prompt, *question.answer][:last], first)
        for index, (question, _, first, last) in enumerate(turns)
    ]
    sums = nats(model.network, windows, len(turns), batch_tokens)
    return [
        TurnScore(digest=question.row["digest"], turn=number, tokens=last - first, nats=round(sums[index], DIGITS))
        for index, (question, number, first, last) in enumerate(turns)
    ]


def answer_text(
    encoder: "Encoder", question: Question, tokens: Sequence[int], ends: Collection[int]
) -> tuple[str, bool]:
    """Return the text of a generated answer without what ends it, and True if the model ended it."""
    ended = bool(tokens) and tokens[-1] in ends
    text = encoder.decode(list(tokens[:-1] if ended else tokens))
    if question.stop and question.stop in text:
        return text.partition(question.stop)[0], True
    return text, ended


def is_well_formed(model: "LoadedModel", question: Question, tokens: Sequence[int], text: str) -> bool:
    """Return whether an answer that the model ended has the right end, and nothing in it that only a prompt may have.

    Args:
        model: the model.
        question: the question.
        tokens: the generated tokens; the last one ends the answer, unless the stop text does.
        text: the answer, without what ends it.
    """
    encoder, encoding = model.encoder, model.encoding
    inner = tokens[:-1]
    if question.stop and question.stop in encoder.decode(list(tokens)):
        lengths = range(1, len(tokens) + 1)
        inner = tokens[: next(length for length in lengths if question.stop in encoder.decode(list(tokens[:length])))]
    elif tokens[-1] not in question.answer:
        return False
    marks = MARKS.get(encoding.prompt.tokens) if encoding is not None else None
    names = {*encoder.control_pieces, *((marks.system, marks.turn, marks.label) if marks else ())}
    given = question.asked + question.expected
    return set(encoder.control_pieces.values()).isdisjoint(inner) and not any(
        name in text and name not in given for name in names
    )


def answer_questions(model: "LoadedModel", questions: Sequence[Question], options: Options) -> list[Answer]:
    """Generate answers and compare them with the expected ones."""
    from tapeout.evals.generation import greedy

    ends = frozenset[int]().union(*(question.stop_ids for question in questions))
    generated = greedy(
        model.network,
        [question.prompt for question in questions],
        ends,
        model.encoder.size,
        options.max_new_tokens,
        model.facts.context,
        options.generation_batch_rows,
        lambda done: progress.report(1 + done, 1 + len(questions), now="answers"),
    )
    rouge_l = RougeL()
    answers = []
    for question, tokens in zip(questions, generated, strict=True):
        row, (text, finished) = question.row, answer_text(model.encoder, question, tokens, ends)
        accepted = question.accepted
        answers.append(
            Answer(
                digest=question.digest,
                category=row["category"],
                source=row["source"],
                licence=row["licence"],
                prompt=question.asked,
                generated=text,
                expected=question.expected,
                accepted=list(accepted),
                exact=any(exact_match(text, one) for one in accepted),
                token_f1=round(max(token_f1(text, one) for one in accepted), DIGITS),
                rouge_l=round(max(rouge_l(text, one) for one in accepted), DIGITS),
                squad_exact=any(squad_exact(text, one) for one in accepted),
                squad_f1=round(max(squad_f1(text, one) for one in accepted), DIGITS),
                tokens=len(tokens),
                finished=finished,
                well_formed=finished and is_well_formed(model, question, tokens, text),
            )
        )
    return answers
