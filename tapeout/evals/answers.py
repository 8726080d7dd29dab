"""Answers to questions: loss of expected answers, generation, and comparison with expected answers."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from tapeout import progress
from tapeout.config.evaluation import QuestionOptions
from tapeout.evals.questions import Question
from tapeout.evals.task import DIGITS, Result

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


class Answer(Result):
    """A generated answer and its comparison with the expected one.

    Attributes:
        prompt, generated, expected: the texts.
        exact: see ``exact_match``.
        rouge_l: see ``RougeL``.
        tokens: length of the generated answer.
        finished: whether the model ended the answer itself.
    """

    digest: str
    category: str
    source: str
    licence: str
    prompt: str
    generated: str
    expected: str
    exact: bool
    rouge_l: float
    tokens: int
    finished: bool


class InstructionAnswers(Result):
    """Scores and answers of one model.

    Attributes:
        template: prompt template that was used.
        rows_in_test: rows of the test set; a sample of them is evaluated.
        left_out: rows that do not fit into the context, shortened as in training.
        expected_over_limit: rows whose expected answer is longer than ``max_new_tokens``.
    """

    template: str
    rows_in_test: int
    left_out: int
    expected_over_limit: int
    answer_scores: list[AnswerScore]
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


def exact_match(generated: str, expected: str) -> bool:
    """Return whether two answers are equal after normalizing whitespace, as ``str.split`` does.

    Case and punctuation count. Lower-casing or dropping punctuation, as is common in question answering, would
    equate different Verilog.
    """
    return generated.split() == expected.split()


class RougeL:
    """ROUGE-L: F1 of the longest common subsequence of words (Lin 2004), between 0 and 1.

    As in the package ``rouge_score``, words are runs of letters and digits after lower-casing, without stemming.
    """

    def __init__(self) -> None:
        """Prepare the scorer."""
        from rouge_score.rouge_scorer import RougeScorer

        self._scorer = RougeScorer(["rougeL"], use_stemmer=False)

    def __call__(self, generated: str, expected: str) -> float:
        """Return the score; zero if a text has no word."""
        return float(self._scorer.score(expected, generated)["rougeL"].fmeasure)


def answer_text(
    encoder: "Encoder", question: Question, tokens: Sequence[int], ends: Collection[int]
) -> tuple[str, bool]:
    """Return the text of a generated answer without what ends it, and True if the model ended it."""
    ended = bool(tokens) and tokens[-1] in ends
    text = encoder.decode(list(tokens[:-1] if ended else tokens))
    if question.stop and question.stop in text:
        return text.partition(question.stop)[0], True
    return text, ended


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
        answers.append(
            Answer(
                digest=question.digest,
                category=row["category"],
                source=row["source"],
                licence=row["licence"],
                prompt=question.asked,
                generated=text,
                expected=question.expected,
                exact=exact_match(text, question.expected),
                rouge_l=round(rouge_l(text, question.expected), DIGITS),
                tokens=len(tokens),
                finished=finished,
            )
        )
    return answers
