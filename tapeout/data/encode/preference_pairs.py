"""Preference pairs as token ids with loss masks: a prompt with a chosen and a rejected answer.

The fields are those of TRL and of common data sets: ``prompt``, ``chosen`` and ``rejected`` as texts, or the last two
as lists of messages that end with the answer, with or without the prompt before it.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from tapeout.config.instructions import RecordFiles
from tapeout.data.encode.prompt import encode_example
from tapeout.data.errors import BadRow
from tapeout.data.instructions.fields import RESERVED_IN_TURNS, Fields
from tapeout.data.instructions.record import FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import ImportReport
from tapeout.encoder.interface import Encoder

ANSWERS = ("chosen", "rejected")
FIELDS = Fields("the row", ("prompt", *ANSWERS))
MESSAGE_FIELDS = Fields("a message", ("role", "content"), RESERVED_IN_TURNS, prefix="messages.")
EQUAL, LONG = "chosen and rejected have the same token ids", "the two answers are longer than seq_length"
EMPTY = "the tokenizer has no tokens for an answer"
ALTERED = "pairs with a character that the tokenizer does not give back"


class EncodedPair(NamedTuple):
    """A pair as token ids.

    Attributes:
        location: file and line of the pair.
        chosen: ids of the prompt and the better answer, and a mask that is 1 on the answer and its end.
        rejected: the same with the worse answer.
    """

    location: str
    chosen: tuple[list[int], list[int]]
    rejected: tuple[list[int], list[int]]


class TextPair(RecordModel):
    """Pair of texts."""

    prompt: FilledText
    chosen: FilledText
    rejected: FilledText


class Message(RecordModel):
    """Turn of a conversation."""

    role: Text
    content: FilledText


def _as_messages(prompt: Any) -> Any:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


class MessagePair(RecordModel):
    """Pair of lists of messages; the prompt may also be a text, or only be in the lists."""

    prompt: Annotated[list[Message], BeforeValidator(_as_messages)] = []
    chosen: list[Message] = Field(min_length=1)
    rejected: list[Message] = Field(min_length=1)


def encoded_pairs(
    records: Iterable[Record],
    encoder: Encoder,
    template: str,
    seq_length: int,
    options: RecordFiles,
    report: ImportReport,
) -> Iterator[EncodedPair]:
    """Yield the pairs that can be trained on; the others are counted, and no answer is cut.

    Args:
        records: records of the sources.
        encoder: the tokenizer.
        template: prompt template of single questions.
        seq_length: positions of a sequence, which has both answers, each after the prompt.
        options: names of the fields that are ignored.
        report: counts, which are updated.

    Raises:
        BadRow: a record is no pair, and ``report.bad_rows`` is ``stop``.
    """
    for record in records:
        report.read["pairs"] += 1
        try:
            pair = read_pair(record, options, report)
        except BadRow as error:
            report.reject(error)
            continue
        rows = [encode_example(encoder, template, pair.prompt, answer) for answer in (pair.chosen, pair.rejected)]
        if any(sum(mask) < 2 for _, mask in rows):
            report.drop(EMPTY, record.location)
        elif rows[0] == rows[1]:
            report.drop(EQUAL, record.location)
        elif sum(len(ids) - 1 for ids, _ in rows) > seq_length:
            report.drop(LONG, record.location)
        else:
            if any(map(encoder.is_altered, (pair.prompt, pair.chosen, pair.rejected))):
                report.changed[ALTERED] += 1
            yield EncodedPair(f"{record.source}/{record.location}", rows[0], rows[1])


def read_pair(record: Record, options: RecordFiles, report: ImportReport) -> TextPair:
    """Return the texts of a pair.

    Raises:
        BadRow: the record is no pair of answers to one question.
    """
    value = FIELDS.select(record, record.value, options, report)
    if not (isinstance(value, dict) and any(isinstance(value.get(name), list) for name in ANSWERS)):
        return record.parse(TextPair, value)
    parts = {name: _selected(record, value[name], options, report) for name in FIELDS.read if name in value}
    pair = record.parse(MessagePair, parts)
    (prompt, chosen), (other_prompt, rejected) = (
        _question_and_answer(record, pair.prompt, messages) for messages in (pair.chosen, pair.rejected)
    )
    if prompt != other_prompt:
        raise record.bad("chosen and rejected answer different prompts")
    return TextPair(prompt=prompt, chosen=chosen, rejected=rejected)


def _selected(record: Record, messages: Any, options: RecordFiles, report: ImportReport) -> Any:
    """Return messages without the fields that are ignored; anything but a list as it is."""
    if not isinstance(messages, list):
        return messages
    return [MESSAGE_FIELDS.select(record, message, options, report) for message in messages]


def _question_and_answer(record: Record, prompt: list[Message], messages: list[Message]) -> tuple[str, str]:
    """Return the two texts of a conversation, whose first message is in the prompt, in the messages, or in both."""
    context, answer = messages[:-1] or prompt, messages[-1]
    if prompt and context != prompt:
        raise record.bad("an answer does not begin with the prompt")
    if [message.role for message in (*context, answer)] != ["user", "assistant"]:
        raise record.bad("a pair is not one question of the role user and one answer of the role assistant")
    return context[0].content, answer.content
