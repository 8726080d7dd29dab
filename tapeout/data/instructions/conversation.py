"""Conversations: turns of user and assistant, as rows of the NeMo-Aligner guide.

A row has ``conversations`` (turns of ``from``, ``value`` and perhaps ``label``), ``system``, ``mask`` (the speaker
whose turns are not trained on) and ``type`` (VALUE_TO_TEXT where answers carry labels, else null).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, create_model

from tapeout.config.instructions import FormatOptions
from tapeout.data.errors import BadRow
from tapeout.data.instructions.record import FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, digest_of

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


@dataclass(frozen=True)
class Turn:
    """One turn.

    Attributes:
        speaker: User or Assistant.
        text: its text.
        label: label string of an answer; None without labels.
    """

    speaker: str
    text: str
    label: str | None = None


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
    digest = digest_of(system, *(part for turn in turns for part in (turn.speaker, turn.text, turn.label or "")))
    values = [{"from": turn.speaker, "value": turn.text, **_label(turn)} for turn in turns]
    content = {"conversations": values, "system": system, "mask": USER, "type": kind}
    return Row(content, "chat", group or digest, turns[0].text, digest, record.source)


def _label(turn: Turn) -> dict[str, str | None]:
    """Follow the original: the label of a user is null, an answer without labels has no such key."""
    return {"label": turn.label} if turn.speaker == USER or turn.label is not None else {}


def conversation_rows(
    records: Iterable[Record], options: ChatOptions, report: ImportReport, field: str, role: str, content: str
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
        "Turn", __base__=RecordModel, role=(Text, Field(alias=role)), content=(FilledText, Field(alias=content))
    )
    model = create_model("Conversation", __base__=RecordModel, turns=(list[turn], Field(alias=field)))
    for record in records:
        report.read["conversations"] += 1
        try:
            parsed: Any = record.parse(model)
            system, turns = _turns(record, parsed.turns)
        except BadRow as error:
            report.reject(error)
            continue
        row = chat_row(record, turns, system or options.system, options, report)
        if row is not None:
            yield row


def _turns(record: Record, values: Sequence[Any]) -> tuple[str, list[Turn]]:
    """Return the system message, if there is one, and the turns.

    Raises:
        BadRow: a speaker is unknown, or the speakers do not alternate, beginning with the user.
    """
    system = ""
    turns: list[Turn] = []
    for number, value in enumerate(values):
        if value.role not in SPEAKERS:
            raise record.bad("a speaker is unknown", repr(value.role))
        if SPEAKERS[value.role] != "system":
            turns.append(Turn(SPEAKERS[value.role], value.content))
        elif number:
            raise record.bad("a system message is not the first turn")
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
