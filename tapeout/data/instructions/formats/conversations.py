"""Conversations: turns of user and assistant, as rows of the NeMo-Aligner guide.

A row has ``conversations`` (turns of ``from``, ``value`` and perhaps ``label``), ``system``, ``mask`` (whose turns are
not trained on) and ``type`` (VALUE_TO_TEXT where answers carry labels, else null).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tapeout.config.imported import Chat, Messages, ShareGpt
from tapeout.data.instructions.fields import filled, items, mapping, string
from tapeout.data.instructions.import_report import Account, BadRow
from tapeout.data.instructions.reading import Record
from tapeout.data.instructions.row import Row
from tapeout.data.instructions.text import digest_of

USER, ASSISTANT = "User", "Assistant"
LABELLED = "VALUE_TO_TEXT"
SPEAKERS = {
    "system": "system",
    "user": USER,
    "human": USER,
    "assistant": ASSISTANT,
    "gpt": ASSISTANT,
}


@dataclass(frozen=True)
class Turn:
    """What one speaker says.

    Attributes:
        speaker: User or Assistant.
        text: the words.
        label: label string of an answer; None where it has none.
    """

    speaker: str
    text: str
    label: str | None = None


def chat_row(
    turns: list[Turn], system: str, kind: str | None, group: str | None, options: Chat, place: str, account: Account
) -> Row | None:
    """A conversation as a row; None if the options leave it out, which is then counted.

    Args:
        turns: user and assistant in turn.
        system: system message.
        kind: VALUE_TO_TEXT or None.
        group: name of what the conversation was taken from; None if it is its own.
        options: what becomes of a last turn of the user.
        place: where it stands, for the report.
        account: grows.
    """
    if turns and turns[-1].speaker == USER and len(turns) > 1:
        if options.last_user_turn == "drop":
            account.drop("conversation that ends with the user", place)
            return None
        if options.last_user_turn == "cut":
            account.changed["last turn of the user cut"] += 1
            turns = turns[:-1]
        else:
            account.read["conversations that end with the user"] += 1
    if len(turns) < 2:
        account.drop("conversation of one turn", place)
        return None
    digest = digest_of(system, *(part for turn in turns for part in (turn.speaker, turn.text, turn.label or "")))
    said = [{"from": turn.speaker, "value": turn.text, **_label(turn)} for turn in turns]
    content = {"conversations": said, "system": system, "mask": USER, "type": kind}
    return Row(content, "chat", group or digest, turns[0].text, digest)


def _label(turn: Turn) -> dict[str, str | None]:
    """The original's rule: a user's label is null, an answer without labels has no such key."""
    return {"label": turn.label} if turn.speaker == USER or turn.label is not None else {}


def message_rows(records: Iterable[Record], options: Messages | ShareGpt, account: Account) -> Iterator[Row]:
    """Yield a row for each conversation of a Hugging Face ``messages`` or a ShareGPT file."""
    names = ("role", "content") if isinstance(options, Messages) else ("from", "value")
    for record in records:
        account.read["conversations"] += 1
        try:
            system, turns = _turns(record, options.field, *names)
        except BadRow as error:
            account.bad(error)
            continue
        place = f"{record.file}, {record.place}"
        row = chat_row(turns, system or options.system, None, None, options, place, account)
        if row is not None:
            yield row


def _turns(record: Record, field: str, role: str, content: str) -> tuple[str, list[Turn]]:
    """System message, if there is one, and turns of a conversation.

    Raises:
        BadRow: the turns are no list of texts in which the user begins and the speakers take turns.
    """
    value = mapping(record, record.value, "the row")
    system = ""
    turns: list[Turn] = []
    for number, each in enumerate(items(record, value, field, "the row")):
        turn = mapping(record, each, "a turn")
        name = string(record, turn, role, "a turn")
        if name not in SPEAKERS:
            raise record.bad("a speaker is unknown", repr(name))
        text = filled(record, turn, content, "a turn")
        if SPEAKERS[name] == "system":
            if number:
                raise record.bad("a system message is not the first turn")
            system = text
        else:
            turns.append(Turn(SPEAKERS[name], text))
    check_turns(record, turns)
    return system, turns


def check_turns(record: Record, turns: list[Turn]) -> None:
    """Whether the user begins and the speakers take turns.

    Raises:
        BadRow: not so.
    """
    if not turns:
        raise record.bad("the conversation is empty")
    if turns[0].speaker != USER:
        raise record.bad("the conversation does not begin with the user")
    if any(one.speaker == other.speaker for one, other in pairwise(turns)):
        raise record.bad("two turns of one speaker follow each other")
