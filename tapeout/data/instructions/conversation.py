"""Conversations: turns of user and assistant, as rows of the NeMo-Aligner guide.

A row has ``conversations`` (turns of ``from``, ``value`` and perhaps ``label``; ``train`` is false on answers that are
not trained on), ``system``, ``mask`` (the speaker whose turns are not trained on) and ``type`` (VALUE_TO_TEXT where
answers carry labels, else null).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, create_model

from tapeout.config.instructions import FormatOptions
from tapeout.data.errors import BadRow
from tapeout.data.instructions.fields import RESERVED_IN_TURNS, ExpectedFields, Fields, TrainFlags, licence_of
from tapeout.data.instructions.record import FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, clean, digest_of

USER, ASSISTANT = "User", "Assistant"
LABELLED = "VALUE_TO_TEXT"
SPEAKERS = {"system": "system", "user": USER, "human": USER, "assistant": ASSISTANT, "gpt": ASSISTANT}


class ChatOptions(FormatOptions):
    """Options that all formats of conversations share."""

    system: str = Field(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions.",
        description="System message of conversations without one.",
    )
    last_user_turn: Literal["cut", "keep", "drop"] = Field(
        "cut", description="A conversation that ends with the user: cut that turn, keep it, drop the conversation."
    )


class TurnListOptions(ChatOptions):
    """Options of the formats whose rows are lists of turns."""

    system_field: str | None = Field(
        "system", description="Field of a row with its own system message; null if rows have no such field."
    )


@dataclass(frozen=True)
class Turn:
    """One turn.

    Attributes:
        speaker: User or Assistant.
        text: its text.
        label: label string of an answer; None without labels.
        train: whether an answer is trained on.
    """

    speaker: str
    text: str
    label: str | None = None
    train: bool = True


def chat_row(
    record: Record,
    turns: Sequence[Turn],
    system: str,
    options: ChatOptions,
    report: ImportReport,
    kind: str | None = None,
    group: str | None = None,
) -> Row | None:
    """Return a conversation as a row, or None if the options drop it, which is then counted.

    Args:
        record: the record that the conversation comes from.
        turns: user and assistant alternating.
        system: system message.
        options: what happens to a last turn of the user.
        report: counts, which are updated.
        kind: VALUE_TO_TEXT or None.
        group: name of what the conversation was taken from; None if it is its own group.

    Raises:
        BadRow: the licence of the record is ambiguous.
    """
    if len(turns) > 1 and turns[-1].speaker == USER:
        if options.last_user_turn == "drop":
            report.drop("conversation that ends with the user", record.location)
            return None
        if options.last_user_turn == "cut":
            report.changed["last turn of the user cut"] += 1
            turns = turns[:-1]
        else:
            report.read["conversations that end with the user"] += 1
    if len(turns) < 2:
        report.drop("conversation of one turn", record.location)
        return None
    context = [number for number, turn in enumerate(turns) if not turn.train]
    if context:
        report.read["answers that are not trained on"] += len(context)
    if all(turn.speaker == USER or not turn.train for turn in turns):
        report.drop("conversation without an answer to train on", record.location)
        return None
    parts = [part for turn in turns for part in (turn.speaker, turn.text, turn.label or "")]
    digest = digest_of(system, *parts, *([f"context {context}"] if context else []))
    values = [{"from": turn.speaker, "value": turn.text, **_label(turn)} for turn in turns]
    for number in context:
        values[number]["train"] = False
    content = {"conversations": values, "system": system, "mask": USER, "type": kind}
    own_licence = licence_of(record, options)
    return Row(content, "chat", group or digest, turns[0].text, digest, record.source, own_licence)


def _label(turn: Turn) -> dict[str, Any]:
    """Follow the original: the label of a user is null, an answer without labels has no such key."""
    return {"label": turn.label} if turn.speaker == USER or turn.label is not None else {}


def conversation_rows(
    records: Iterable[Record], options: TurnListOptions, report: ImportReport, field: str, role: str, content: str
) -> Iterator[Row]:
    """Yield a row for each record that is a list of turns.

    Args:
        records: the records.
        options: options of the set.
        report: counts, which are updated.
        field: name of the list of turns.
        role: name of a turn's speaker.
        content: name of a turn's text.
    """
    turn: Any = create_model(
        "Turn", __base__=TrainFlags, role=(Text, Field(alias=role)), content=(FilledText, Field(alias=content))
    )
    system: Any = (Text | None, Field(None, alias=options.system_field) if options.system_field else None)
    model = create_model("Conversation", __base__=RecordModel, turns=(list[turn], Field(alias=field)), system=system)
    of_row = Fields("the row", tuple(filter(None, (field, options.system_field))))
    of_turn = Fields("a turn", (role, content, *TrainFlags.model_fields), RESERVED_IN_TURNS, prefix=f"{field}.")
    expected = ExpectedFields(options, {"system_field": (options.system_field, "system")})
    for record in records:
        report.read["conversations"] += 1
        expected.see(record.value)
        try:
            value = of_row.select(record, record.value, options, report)
            if isinstance(value, Mapping) and isinstance(value.get(field), list):
                value = {**value, field: [of_turn.select(record, turn, options, report) for turn in value[field]]}
            parsed: Any = record.parse(model, value)
            own_system, turns = _turns(record, clean(parsed.system or ""), parsed.turns)
            row = chat_row(record, turns, own_system or options.system, options, report)
        except BadRow as error:
            report.reject(error)
            continue
        if own_system:
            report.read["conversations with a system message of their own"] += 1
        if row is not None:
            yield row
    expected.check()


def _turns(record: Record, system: str, values: Sequence[Any]) -> tuple[str, list[Turn]]:
    """Return the system message, if there is one, and the turns.

    Args:
        record: the record that the turns belong to.
        system: system message of the row's own field; empty if it has none.
        values: the turns, system message included.

    Raises:
        BadRow: a speaker is unknown, the speakers do not alternate, beginning with the user, there are two system
            messages, or the fields of a turn state that anything but an answer is trained on.
    """
    turns: list[Turn] = []
    for number, value in enumerate(values):
        if value.role not in SPEAKERS:
            raise record.bad("a speaker is unknown", repr(value.role))
        speaker = SPEAKERS[value.role]
        flag = value.is_trained(record)
        if flag and speaker != ASSISTANT:
            raise record.bad("a turn that is not an answer is to be trained on", f"turn {number + 1}")
        if speaker != "system":
            turns.append(Turn(speaker, value.content, train=flag is not False or speaker == USER))
        elif number:
            raise record.bad("a system message is not the first turn")
        elif system not in ("", value.content):
            raise record.bad("the row has two system messages")
        else:
            system = value.content
    if not turns:
        raise record.bad("the conversation is empty")
    check_alternation(record, turns)
    return system, turns


def check_alternation(record: Record, turns: Sequence[Turn]) -> None:
    """Check that the user begins and the speakers alternate.

    Raises:
        BadRow: they do not.
    """
    if turns[0].speaker != USER:
        raise record.bad("the conversation does not begin with the user")
    if any(one.speaker == other.speaker for one, other in pairwise(turns)):
        raise record.bad("two turns of one speaker follow each other")
