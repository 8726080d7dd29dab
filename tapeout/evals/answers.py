"""Instruction rows as token sequences, and the loss of the expected answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapeout.data.encode.prompt import encode_example
from tapeout.encoder.interface import Encoder
from tapeout.evals.result import DIGITS, AnswerScore
from tapeout.evals.rows import Question
from tapeout.evals.windows import Window, nats

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class EncodedQuestion:
    """A row in tokens, exactly as in fine-tuning.

    Attributes:
        prompt: ``[bos]`` and the prompt.
        answer: the expected answer and ``[eos]``.
    """

    question: Question
    prompt: Sequence[int]
    answer: Sequence[int]


def encode_questions(tokenizer: Encoder, template: str, questions: Iterable[Question]) -> list[EncodedQuestion]:
    """Encode rows with the function that fine-tuning uses, so that a prompt cannot differ between the two."""
    encoded = []
    for question in questions:
        ids, mask = encode_example(tokenizer, template, question.input, question.output)
        first = list(mask).index(1)
        encoded.append(EncodedQuestion(question, ids[:first], ids[first:]))
    return encoded


def score_answers(model: "LlamaForCausalLM", rows: Sequence[EncodedQuestion], batch_tokens: int) -> list[AnswerScore]:
    """Score the expected answers, end mark included; the prompt is given and does not count (answer-only loss).

    The mean over tokens, ``sum(nats) / sum(tokens)``, is the SFT test loss, with the same mask as in training and
    weighted by token (F51). Models with different tokenizers are comparable by ``sum(nats) / sum(bytes)`` only.
    """
    windows = [Window(index, [*row.prompt, *row.answer], len(row.prompt)) for index, row in enumerate(rows)]
    sums = nats(model, windows, len(rows), batch_tokens)
    return [
        AnswerScore(
            digest=row.question.digest,
            category=row.question.category,
            tokens=len(row.answer),
            bytes=len(row.question.output.encode()),
            nats=round(sums[index], DIGITS),
        )
        for index, row in enumerate(rows)
    ]
