"""Fields of a record, checked as they are read."""

from collections.abc import Mapping
from typing import Any

from tapeout.data.instructions.reading import Record
from tapeout.data.instructions.text import clean, has_surrogates

MOST = 8
"""Names of fields that an error shows."""
LONGEST = 40
"""Characters of each that it shows."""


def mapping(record: Record, value: Any, what: str) -> Mapping[str, Any]:
    """``value`` if it is an object.

    Raises:
        BadRow: it is none.
    """
    if not isinstance(value, dict):
        raise record.bad(f"{what} is no object", type(value).__name__)
    return value


def member(record: Record, value: Mapping[str, Any], name: str, what: str) -> Any:
    """The field ``name`` of an object.

    Raises:
        BadRow: it is missing.
    """
    if name not in value:
        shown = [repr(each)[:LONGEST] for each in list(value)[:MOST]]
        rest = [f"{len(value) - MOST} more"] if len(value) > MOST else []
        raise record.bad(f"{what} has no field {name!r}", f"it has {', '.join([*shown, *rest]) or 'none'}")
    return value[name]


def items(record: Record, value: Mapping[str, Any], name: str, what: str) -> list[Any]:
    """The field ``name`` of an object, a list.

    Raises:
        BadRow: it is missing or no list.
    """
    found = member(record, value, name, what)
    if not isinstance(found, list):
        raise record.bad(f"field {name!r} of {what} is no list", type(found).__name__)
    return found


def string(record: Record, value: Mapping[str, Any], name: str, what: str) -> str:
    """The field ``name`` of an object, a text as it stands.

    Raises:
        BadRow: it is missing, no text, or has characters that no text has.
    """
    found = member(record, value, name, what)
    if not isinstance(found, str):
        raise record.bad(f"field {name!r} of {what} is no text", type(found).__name__)
    if "\0" in found:
        raise record.bad("NUL character in a text", name)
    if has_surrogates(found):
        raise record.bad("lone surrogate", name)
    return found


def filled(record: Record, value: Mapping[str, Any], name: str, what: str) -> str:
    """The field ``name`` of an object, a text by the one white-space rule that is not empty.

    Raises:
        BadRow: as ``string``, or it is empty.
    """
    found = clean(string(record, value, name, what))
    if not found:
        raise record.bad(f"field {name!r} of {what} is empty")
    return found
