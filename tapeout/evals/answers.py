"""Answers to questions: sample, prompts, loss of expected answers, generation, and comparison with expected answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tapeout import progress
from tapeout.config.evaluation import ScoringOptions
from tapeout.data.encode.prompt import encode_example
from tapeout.evals.rows import in_sample_order
from tapeout.evals.task import DIGITS, Result

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel


class Options(ScoringOptions):
    """Options for sampling questions and generating answers."""

    data: str = Field("instructions/rtl", description="Artifact with the questions, in test.jsonl.")
    max_rows: int = Field(
        160,
        ge=1,
        description="Maximum number of rows that are scored and answered: the same number from each category, chosen "
        "by digest.",
    )
    max_new_tokens: int = Field(
        96, ge=1, description="Maximum length of a generated answer. The result counts longer expected answers."
    )
    kept_generations: int = Field(2, ge=0, description="Generated answers per category that the result holds verbatim.")
    generation_batch_rows: int = Field(
        64, ge=1, description="Rows that are answered in one batch; the last bits of a float sum depend on it."
    )


class AnswerScore(Result):
    """Negative log-likelihood, in nats, of the expected answer and the end token, given the prompt."""

    digest: str
    category: str
    tokens: int
    bytes: int
    nats: float


class Generation(Result):
    """A generated answer, verbatim."""

    prompt: str
    generated: str
    expected: str


class Answer(Result):
    """Comparison of a generated answer with the expected one.

    Attributes:
        exact: see ``exact_match``.
        rouge_l: see ``RougeL``.
        tokens: length of the generated answer.
        finished: whether the model ended the answer itself.
        kept: the texts, stored for the first rows of each category.
    """

    digest: str
    category: str
    source: str
    licence: str
    exact: bool
    rouge_l: float
    tokens: int
    finished: bool
    kept: Generation | None


class InstructionAnswers(Result):
    """Scores and answers of one model.

    Attributes:
        template: prompt template that was used.
        rows_in_test: rows of the test set; a sample of them is evaluated.
        left_out: rows whose prompt and expected answer exceed the context; they are never cut.
        expected_over_limit: rows whose expected answer is longer than ``max_new_tokens``.
    """

    template: str
    rows_in_test: int
    left_out: int
    expected_over_limit: int
    answer_scores: list[AnswerScore]
    answers: list[Answer]


@dataclass(frozen=True)
class EncodedQuestion:
    """A row as token ids, exactly as in fine-tuning.

    Attributes:
        row: the row as it was read.
        prompt: ``[bos]`` and the prompt.
        answer: the expected answer and ``[eos]``.
    """

    row: Mapping[str, Any]
    prompt: Sequence[int]
    answer: Sequence[int]


def sample_questions(rows: Iterable[dict[str, Any]], max_rows: int) -> list[dict[str, Any]]:
    """Choose up to ``max_rows`` rows in sample order, spread as evenly over the categories as their sizes allow."""
    by_category: dict[str, list[dict[str, Any]]] = {}
    for row in in_sample_order(rows):
        by_category.setdefault(row["category"], []).append(row)
    rounds = zip_longest(*(by_category[category] for category in sorted(by_category)))
    return [row for turn in rounds for row in turn if row is not None][:max_rows]


def encode_questions(model: "LoadedModel", rows: Iterable[Mapping[str, Any]]) -> list[EncodedQuestion]:
    """Encode rows with the function that fine-tuning uses, so that a prompt cannot differ between the two."""
    encoded = []
    for row in rows:
        ids, mask = encode_example(model.encoder, model.template, row["input"], row["output"])
        first = list(mask).index(1)
        encoded.append(EncodedQuestion(row, ids[:first], ids[first:]))
    return encoded


def score_answers(model: "LoadedModel", rows: Sequence[EncodedQuestion], batch_tokens: int) -> list[AnswerScore]:
    """Score the expected answers, end token included; the prompt is given and does not count (answer-only loss).

    The mean over tokens, ``sum(nats) / sum(tokens)``, is the test loss of fine-tuning, with the loss mask of training
    and weighted by token. Models with different tokenizers are comparable by ``sum(nats) / sum(bytes)`` only.
    """
    from tapeout.evals.likelihood import Window, nats

    windows = [Window(index, [*row.prompt, *row.answer], len(row.prompt)) for index, row in enumerate(rows)]
    sums = nats(model.network, windows, len(rows), batch_tokens)
    return [
        AnswerScore(
            digest=row.row["digest"],
            category=row.row["category"],
            tokens=len(row.answer),
            bytes=len(row.row["output"].encode()),
            nats=round(sums[index], DIGITS),
        )
        for index, row in enumerate(rows)
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


def answer_questions(model: "LoadedModel", rows: Sequence[EncodedQuestion], options: Options) -> list[Answer]:
    """Generate answers and compare them with the expected ones."""
    from tapeout.evals.generation import greedy

    end = model.encoder.eos
    generated = greedy(
        model.network,
        [row.prompt for row in rows],
        end,
        model.encoder.size,
        options.max_new_tokens,
        model.facts.context,
        options.generation_batch_rows,
        lambda done: progress.report(1 + done, 1 + len(rows), now="answers"),
    )
    rouge_l = RougeL()
    seen: dict[str, int] = {}
    answers = []
    for question, tokens in zip(rows, generated, strict=True):
        row = question.row
        finished = tokens[-1] == end
        text = model.encoder.decode(tokens[:-1] if finished else tokens)
        seen[row["category"]] = seen.get(row["category"], 0) + 1
        kept = seen[row["category"]] <= options.kept_generations
        answers.append(
            Answer(
                digest=row["digest"],
                category=row["category"],
                source=row["source"],
                licence=row["licence"],
                exact=exact_match(text, row["output"]),
                rouge_l=round(rouge_l(text, row["output"]), DIGITS),
                tokens=len(tokens),
                finished=finished,
                kept=Generation(prompt=row["input"], generated=text, expected=row["output"]) if kept else None,
            )
        )
    return answers
