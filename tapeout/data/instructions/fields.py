"""Fields of records that a format does not read: refused if they would change what is learnt, else accepted.

Other training tools give many fields a meaning (axolotl, LLaMA-Factory, OpenAI's fine-tuning, TRL, ms-swift). A format
reads some of them. Of the others, ``RESERVED_IN_ROWS`` and ``RESERVED_IN_TURNS`` lists those that a row must not hold,
unless they are empty or the option ``ignored_fields`` names them. ``METADATA`` lists those that have no meaning for
training. Any other field is ignored, and counted in the report of the set.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tapeout.config.instructions import FormatOptions, RecordFiles
from tapeout.data.errors import BadRow
from tapeout.data.instructions.record import Record, RecordModel
from tapeout.data.instructions.report import MAX_NAME_CHARACTERS, ImportReport
from tapeout.data.io.ngrams import unicode_form
from tapeout.data.io.text_rows import LICENCE_FIELDS, joined_licence

SEPARATORS = re.compile(r"[\s_-]+")
EMPTY_TEXTS = ("", "[]", "{}", "null")
MAX_DEPTH = 8
"""Levels at which an empty value is searched for content."""


def folded(*names: str) -> frozenset[str]:
    """Return names in the form in which they are compared; each text may have several, separated by blanks."""
    return frozenset(fold(name) for text in names for name in text.split())


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """Return a name in one Unicode form, without case and separators, so that ``Tool-Calls`` equals ``tool_calls``."""
    return SEPARATORS.sub("", unicode_form(name)).casefold()


RESERVED_IN_ROWS = folded(
    "system system_prompt system_message history",
    "tools functions tool_calls function_call tool_choice parallel_tool_calls response_format",
    "image images video videos audio audios",
    "chosen rejected rejected_response rejected_messages preferred_output non_preferred_output kto_tag",
    "weight sample_weight loss_weight loss_scale loss train training train_detail loss_mask mask input_ids",
    "attention_mask chat_template chat_template_kwargs documents reasoning reasoning_content thinking",
)
RESERVED_IN_TURNS = folded(
    "tools functions tool tool_calls tool_call_id function_call name refusal prefix channel recipient",
    "image images video videos audio audios",
    "reasoning reasoning_content thinking label mask loss_mask train_detail training_detail",
    "weight loss_weight loss_scale train training loss chosen rejected",
)
RESERVED_IF_BOOLEAN = folded("label")
"""Fields that, if true or false (in CSV as text), state whether an answer is desired: KTO data of TRL and axolotl.

Other values name a class."""
LICENCE = folded(*LICENCE_FIELDS)
"""The licence of a row, which overrides that of its source; one inside a row, as of a turn, is ignored and counted."""
METADATA = LICENCE | folded(
    "id uuid index idx hash digest key name title url link source origin dataset category topic domain task tags",
    "group language lang author user created created_at updated date timestamp model version",
    "difficulty quality comment notes metadata meta type",
)


@dataclass(frozen=True)
class Fields:
    """The fields of one kind of object in a format.

    Attributes:
        what: name of the object in messages.
        read: the fields that the format reads.
        reserved: other fields that would change what is learnt.
        metadata: other fields without a meaning for training.
        prefix: what precedes the name of an ignored field in the report.
    """

    what: str
    read: tuple[str, ...]
    reserved: frozenset[str] = RESERVED_IN_ROWS
    metadata: frozenset[str] = METADATA
    prefix: str = ""

    def select(self, record: Record, value: Any, options: RecordFiles, report: ImportReport) -> Any:
        """Return the object without the fields that ``options`` ignores; anything but an object as it is.

        Args:
            record: the record that the object belongs to.
            value: the object.
            options: options of the set.
            report: counts of ignored fields, which are updated.

        Raises:
            BadRow: a field is reserved and not empty, or unknown where ``options`` reject such fields.
        """
        if not isinstance(value, Mapping):
            return value
        ignored = [name for name in value if name in options.ignored_fields]
        for name in ignored:
            report.ignore(self.prefix + name)
        for name in value:
            if name not in self.read and name not in ignored:
                self._check(record, name, value[name], options, report)
        return {name: value[name] for name in value if name not in ignored} if ignored else value

    def _check(self, record: Record, name: str, value: Any, options: RecordFiles, report: ImportReport) -> None:
        shown, key = repr(name)[:MAX_NAME_CHARACTERS], fold(name)
        similar = next((read for read in self.read if fold(read) == key), None)
        if similar is not None and not is_empty(value):
            raise record.bad(f"field {shown} of {self.what} is written differently from {similar!r}")
        if options.other_fields == "reject":
            raise record.bad("a field is unknown", shown)
        if key in self.reserved or (key in RESERVED_IF_BOOLEAN and _is_boolean(value)):
            if not is_empty(value):
                raise record.bad(f"field {shown} of {self.what} would change what is learnt, and is not supported")
        elif key not in self.metadata or (self.prefix and key in LICENCE):
            report.ignore(self.prefix + name)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false"))


class ExpectedFields:
    """Fields that the options name; one that is absent from all rows, and not only from some, is misspelt.

    Where unknown fields are rejected, no row can have a field that a misspelt option leaves out.

    Attributes:
        missing: options by the names of the fields that no row has had so far.
        rows: whether there was a row.
    """

    def __init__(self, options: FormatOptions, names: Mapping[str, tuple[str | None, str | None]]) -> None:
        """Expect the fields that options set, unless that is the default; ``names`` has both by the option's name."""
        expected = {} if options.other_fields == "reject" else names
        self.missing = {field: key for key, (field, usual) in expected.items() if field not in (None, usual)}
        self.rows = False

    def see(self, value: Any) -> None:
        """Note the fields of a row."""
        self.rows = True
        if self.missing and isinstance(value, Mapping):
            self.missing = {field: key for field, key in self.missing.items() if field not in value}

    def check(self) -> None:
        """Check that each field was seen.

        Raises:
            BadRow: no row has one of them.
        """
        for field, key in self.missing.items() if self.rows else ():
            reason = f"none has the field {field!r}, which {key} names"
            raise BadRow("All rows", reason, fix=f"Correct or remove {key} of the set.")


def is_empty(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether a value has no content: null, blank, or a list or object without content, also as JSON text."""
    if isinstance(value, str):
        return value.strip() in EMPTY_TEXTS
    if isinstance(value, list | Mapping) and depth:
        return all(is_empty(item, depth - 1) for item in (value.values() if isinstance(value, Mapping) else value))
    return value is None


def licence_of(record: Record, options: FormatOptions) -> str:
    """Return the licence that a record states itself, or an empty text.

    Raises:
        BadRow: it is neither a text nor a list of texts, or two fields differ.
    """
    if not isinstance(record.value, Mapping):
        return ""
    names = [name for name in record.value if fold(name) in LICENCE and name not in options.ignored_fields]
    try:
        return joined_licence([record.value[name] for name in names])
    except ValueError as error:
        raise record.bad(str(error)) from error


class TrainFlags(RecordModel):
    """Fields of a turn that state whether it is trained on: a weight of 0 or 1 (OpenAI), or true or false."""

    weight: Any = None
    train: Any = None
    training: Any = None
    loss: Any = None

    def is_trained(self, record: Record) -> bool | None:
        """Return whether the turn is trained on; None if no field states it.

        Raises:
            BadRow: a field of ``record`` has another value, or two fields contradict each other.
        """
        flags = set()
        for name in TrainFlags.model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            if name == "weight" and (isinstance(value, bool) or value not in (0, 1)):
                raise record.bad("field 'weight' of a turn is neither 0 nor 1", repr(value)[:MAX_NAME_CHARACTERS])
            if name != "weight" and not isinstance(value, bool):
                raise record.bad(f"field {name!r} of a turn is not a truth value", repr(value)[:MAX_NAME_CHARACTERS])
            flags.add(bool(value))
        if len(flags) > 1:
            raise record.bad("the fields that state whether a turn is trained on contradict each other")
        return flags.pop() if flags else None
