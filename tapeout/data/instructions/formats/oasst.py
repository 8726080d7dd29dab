"""Trees of OpenAssistant as conversations: one for each path from the root to a leaf (fault F53, trap D13).

The original takes all of them: deleted messages, all languages, unfinished trees, paths that end with a question. Each
of these is an option here, and each count is in the report.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tapeout.config.imported import ChatTrees
from tapeout.data.instructions.fields import filled, items, mapping, member, string
from tapeout.data.instructions.formats.conversations import ASSISTANT, LABELLED, USER, Turn, chat_row
from tapeout.data.instructions.import_report import Account, BadRow
from tapeout.data.instructions.reading import Record
from tapeout.data.instructions.row import Row

SPEAKERS = {"prompter": USER, "assistant": ASSISTANT}


@dataclass(frozen=True)
class Node:
    """A message that is taken, with the turns before it."""

    turns: tuple[Turn, ...]
    leaf: bool


def tree_rows(records: Iterable[Record], options: ChatTrees, account: Account) -> Iterator[Row]:
    """Yield the conversations of all trees that are taken."""
    for record in records:
        account.read["trees"] += 1
        try:
            yield from _conversations(record, options, account)
        except BadRow as error:
            account.bad(error)


def _conversations(record: Record, options: ChatTrees, account: Account) -> list[Row]:
    """The rows of one tree; a tree with a message that cannot be used gives none."""
    tree = mapping(record, record.value, "the tree")
    name = filled(record, tree, "message_tree_id", "the tree")
    root = mapping(record, member(record, tree, "prompt", "the tree"), "the prompt")
    place = f"{record.file}, {record.place}"
    own = Account(account.bad_rows)  # counts of a tree that turns out to be bad do not stand
    if options.not_ready == "drop" and string(record, tree, "tree_state", "the tree") != "ready_for_export":
        account.drop("tree that is not ready for export", place)
        return []
    nodes = _walk(record, root, options, own)
    paths = _paths(nodes, options, own)
    rows = [chat_row(list(path), options.system, LABELLED, name, options, place, own) for path in paths]
    account.read.update(own.read)
    account.changed.update(own.changed)
    for reason, count in own.dropped.items():
        account.drop(reason, place, count)
    return [row for row in rows if row is not None]


def _walk(record: Record, root: Mapping[str, Any], options: ChatTrees, account: Account) -> list[Node]:
    """The messages that are taken, parents before their replies, without recursion: a tree may be deep."""
    found: list[Node] = []
    waiting: list[tuple[Mapping[str, Any], tuple[Turn, ...]]] = [(root, ())]
    while waiting:
        message, before = waiting.pop()
        account.read["messages"] += 1
        replies = [mapping(record, each, "a message") for each in items(record, message, "replies", "a message")]
        reason = _refused(record, message, options)
        if reason:
            account.drop(reason)
            _drop_below(record, replies, options, account)
            continue
        role = string(record, message, "role", "a message")
        if role not in SPEAKERS:
            raise record.bad("a speaker is unknown", repr(role))
        text = filled(record, message, "text", "a message")
        label = _label(record, message, options.labels) if role == "assistant" else None
        turns = (*before, Turn(SPEAKERS[role], text, label))
        if not before and turns[0].speaker != USER:
            raise record.bad("the conversation does not begin with the user")
        if before and before[-1].speaker == turns[-1].speaker:
            raise record.bad("two turns of one speaker follow each other")
        found.append(Node(turns, leaf=all(_refused(record, each, options) for each in replies)))
        waiting += [(each, turns) for each in reversed(replies)]
    return found


def _paths(nodes: list[Node], options: ChatTrees, account: Account) -> list[tuple[Turn, ...]]:
    """Turns of every leaf.

    Where the user's last turn is cut, what is left may be what another path is, or begins with: it would be trained on
    twice for nothing, and is left out.
    """
    paths = [node.turns for node in nodes if node.leaf]
    account.read["paths"] += len(paths)
    if options.last_user_turn != "cut":
        return paths
    cut: dict[tuple[Turn, ...], tuple[Turn, ...]] = {}
    for path in paths:
        cut.setdefault(path[:-1] if len(path) > 1 and path[-1].speaker == USER else path, path)
    begun = {short[:end] for short in cut for end in range(1, len(short))}
    kept = [path for short, path in cut.items() if short not in begun]
    if len(kept) < len(paths):
        account.drop("path that another one repeats once the user's last turn is cut", None, len(paths) - len(kept))
    return kept


def _refused(record: Record, message: Mapping[str, Any], options: ChatTrees) -> str | None:
    """Why a message is left out; None if it is taken."""
    if options.deleted == "drop" and _flag(record, message, "deleted"):
        return "deleted message"
    if options.synthetic == "drop" and _flag(record, message, "synthetic"):
        return "synthetic message"
    if options.languages and string(record, message, "lang", "a message") not in options.languages:
        return "message in another language"
    return None


def _flag(record: Record, message: Mapping[str, Any], name: str) -> bool:
    found = message.get(name, False)
    if not isinstance(found, bool):
        raise record.bad(f"field {name!r} of a message is neither true nor false", type(found).__name__)
    return found


def _label(record: Record, message: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The label string of an answer: ``name:n``, n the value times 4, rounded half to even; None without labels."""
    if message.get("labels") is None:
        return None
    labels = mapping(record, message["labels"], "field 'labels' of a message")
    parts = []
    for name in names:
        if name in labels:
            value = member(record, mapping(record, labels[name], "a label"), "value", "a label")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise record.bad("the value of a label is no number from 0 to 1", repr(value)[:40])
            parts.append(f"{name}:{round(value * 4)}")
    return ",".join(parts) or None


def _drop_below(record: Record, replies: list[Mapping[str, Any]], options: ChatTrees, account: Account) -> None:
    """Count the messages behind one that is left out, each by its own reason if it has one."""
    waiting = list(replies)
    while waiting:
        message = waiting.pop()
        account.read["messages"] += 1
        account.drop(_refused(record, message, options) or "message behind one that is left out")
        waiting += [mapping(record, each, "a message") for each in items(record, message, "replies", "a message")]
