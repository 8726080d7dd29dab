"""Trees of OpenAssistant as conversations: one for each path from the root to a leaf.

The original script takes all of them: deleted messages, all languages, unfinished trees, paths that end with a
question. Each of these is an option here, and each count is in the report.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from tapeout.data.errors import BadRow
from tapeout.data.instructions.conversation import (
    ASSISTANT,
    LABELLED,
    USER,
    ChatOptions,
    Turn,
    chat_row,
    check_alternation,
)
from tapeout.data.instructions.fields import METADATA, RESERVED_IN_TURNS, Fields, folded
from tapeout.data.instructions.record import FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row

SPEAKERS = {"prompter": USER, "assistant": ASSISTANT}


class Options(ChatOptions):
    """Trees of OpenAssistant: every path from the root to a leaf is a conversation, a tree is a group.

    Replies to a dropped message are dropped too.
    """

    format: Literal["chat_trees"] = Field(description="Name of this format.")
    languages: tuple[str, ...] = Field((), description="Languages to take, as the messages name them; all if empty.")
    deleted: Literal["drop", "keep"] = Field("drop", description="Messages that were deleted.")
    synthetic: Literal["drop", "keep"] = Field("drop", description="Messages that a model wrote.")
    not_ready: Literal["drop", "keep"] = Field("drop", description="Trees that are not ready for export.")
    labels: tuple[str, ...] = Field(
        ("quality", "toxicity", "humor", "creativity"),
        description="Labels of an answer in its label string, in this order, as round(4 x value).",
    )


class Tree(RecordModel):
    """A tree; its messages are validated one by one, because it may be deep."""

    message_tree_id: FilledText
    tree_state: Text | None = None
    prompt: dict[str, Any]


class Node(RecordModel):
    """Fields that decide whether a message and its replies are taken."""

    deleted: bool = False
    synthetic: bool = False
    lang: Text | None = None
    replies: list[dict[str, Any]]


class Label(RecordModel):
    """A label of an answer."""

    value: Annotated[float, Field(ge=0, le=1)]


class Message(RecordModel):
    """A message that is taken."""

    role: Text
    text: FilledText
    labels: dict[str, Any] | None = None


@dataclass(frozen=True)
class Path:
    """The turns from the root to a message, and whether none of its replies is taken."""

    turns: tuple[Turn, ...]
    leaf: bool


MESSAGE = Fields(
    "a message",
    ("deleted", "synthetic", "lang", "replies", "role", "text", "labels"),
    RESERVED_IN_TURNS,
    METADATA
    | folded(
        "message_id message_tree_id parent_id user_id created_date review_count review_result rank model_name detoxify",
        "emojis tree_state",
    ),
    "message.",
)
TREE = Fields("the tree", ("message_tree_id", "tree_state", "prompt"))


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield the conversations of all trees that are taken; a tree with a bad message gives none."""
    for record in records:
        report.read["trees"] += 1
        counts = ImportReport(report.bad_rows)  # added only if the whole tree is good
        try:
            conversations = _conversations(record, options, counts)
        except BadRow as error:
            report.reject(error)
            continue
        report.add(counts)
        yield from conversations


def _conversations(record: Record, options: Options, report: ImportReport) -> list[Row]:
    tree = record.parse(Tree, TREE.select(record, record.value, options, report), "the tree")
    if options.not_ready == "drop":
        if tree.tree_state is None:
            raise record.bad("the tree has no field 'tree_state'")
        if tree.tree_state != "ready_for_export":
            report.drop("tree that is not ready for export", record.location)
            return []
    name = tree.message_tree_id
    leaves = [path.turns for path in _walk(record, tree.prompt, options, report) if path.leaf]
    paths = _distinct(leaves, record.location, options, report)
    conversations = [chat_row(record, path, options.system, options, report, LABELLED, name) for path in paths]
    return [row for row in conversations if row is not None]


def _walk(record: Record, root: dict[str, Any], options: Options, report: ImportReport) -> list[Path]:
    """Return the paths to all messages that are taken, parents before replies, without recursion."""
    paths: list[Path] = []
    waiting: list[tuple[dict[str, Any], Node, tuple[Turn, ...]]] = [(root, record.parse(Node, root, "a message"), ())]
    while waiting:
        value, node, before = waiting.pop()
        report.read["messages"] += 1
        reason = _drop_reason(record, node, options)
        if reason:
            report.drop(reason, record.location)
            _drop_replies(record, node.replies, options, report)
            continue
        message = record.parse(Message, MESSAGE.select(record, value, options, report), "a message")
        if message.role not in SPEAKERS:
            raise record.bad("a speaker is unknown", repr(message.role))
        label = _label(record, message, options) if SPEAKERS[message.role] == ASSISTANT else None
        turns = (*before, Turn(SPEAKERS[message.role], message.text, label))
        check_alternation(record, turns)
        nodes = [record.parse(Node, reply, "a message") for reply in node.replies]
        paths.append(Path(turns, leaf=all(_drop_reason(record, reply, options) for reply in nodes)))
        waiting += [(value, reply, turns) for value, reply in zip(node.replies, nodes, strict=True)][::-1]
    return paths


def _distinct(
    paths: list[tuple[Turn, ...]], location: str, options: Options, report: ImportReport
) -> list[tuple[Turn, ...]]:
    """Return the paths without those that repeat another one once the user's last turn is cut.

    What is left of such a path is another path or the beginning of one, and would be trained on twice.
    """
    report.read["paths"] += len(paths)
    if options.last_user_turn != "cut":
        return paths
    cut: dict[tuple[Turn, ...], tuple[Turn, ...]] = {}
    for path in paths:
        cut.setdefault(path[:-1] if len(path) > 1 and path[-1].speaker == USER else path, path)
    prefixes = {short[:end] for short in cut for end in range(1, len(short))}
    distinct = [path for short, path in cut.items() if short not in prefixes]
    if len(distinct) < len(paths):
        reason = "path that another one repeats once the user's last turn is cut"
        report.drop(reason, location, len(paths) - len(distinct))
    return distinct


def _drop_reason(record: Record, node: Node, options: Options) -> str | None:
    """Return why a message is dropped; None if it is taken."""
    if options.deleted == "drop" and node.deleted:
        return "deleted message"
    if options.synthetic == "drop" and node.synthetic:
        return "synthetic message"
    if options.languages:
        if node.lang is None:
            raise record.bad("a message has no field 'lang'")
        if node.lang not in options.languages:
            return "message in another language"
    return None


def _drop_replies(record: Record, replies: list[dict[str, Any]], options: Options, report: ImportReport) -> None:
    """Count everything below a dropped message, each message by its own reason if it has one."""
    waiting = list(replies)
    while waiting:
        node = record.parse(Node, waiting.pop(), "a message")
        report.read["messages"] += 1
        report.drop(_drop_reason(record, node, options) or "reply to a dropped message", record.location)
        waiting += node.replies


def _label(record: Record, message: Message, options: Options) -> str | None:
    """Return the label string of an answer: ``name:n``, n the value times 4, rounded half to even; None without."""
    labels = message.labels or {}
    values = {name: record.parse(Label, labels[name], "a label").value for name in options.labels if name in labels}
    return ",".join(f"{name}:{round(value * 4)}" for name, value in values.items()) or None
