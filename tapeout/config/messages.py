"""Messages about validation errors: pydantic's types of errors in plain English."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from tapeout.config.origins import Origins
from tapeout.config.plugin_options import unknown_key_hint
from tapeout.config.problems import Location, Problem
from tapeout.config.section import CONFLICT

MAX_SHOWN = 60
"""Characters of a wrong value that a message shows."""
SCHEMA = "config/schema.json describes all keys"
KEY = "[key]"
"""Last part of pydantic's location of an error in the key of a mapping."""

LOWER = 'may contain lower-case letters, digits, ".", "_" and "-", and begins with a letter or digit'
NAMES = {
    r"^[a-z0-9][a-z0-9._-]*$": LOWER,
    r"^[a-z0-9][a-z0-9_-]*$": LOWER.replace(' ".",', ""),
    r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$": 'may contain letters, digits, "_" and "-", and begins with a letter or digit',
    r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(/[a-zA-Z0-9][a-zA-Z0-9._-]*)*$": "must be the name of an artifact, such as "
    "dapt/model",
    r"^[0-9a-f]{64}$": "must be a SHA-256, 64 hexadecimal digits",
    r"^[0-9a-f]{40}$": "must be a full commit, 40 hexadecimal digits",
    r"\S": "must not be blank",
}
"""Statement about text with a required form, by its pattern."""

Context = Mapping[str, Any]
WHOLE, NUMBER, TEXT, SWITCH = "must be a whole number", "must be a number", "must be text", "must be true or false"
LIST, SECTION, FILLED = "must be a list, such as [a, b]", "must be a section: keys with values", "must not be empty"


def _unusable(context: Context) -> str:
    return "has a value that cannot be used"


def _entries(context: Context, bound: str, words: str) -> str:
    count = context.get(bound, 1)
    return FILLED if count == 1 and words == "at least" else f"must have {words} {count} entries"


STATEMENTS: dict[str, Callable[[Context], str]] = {
    "missing": lambda _: "is missing",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), lambda _: WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: NUMBER),
    "finite_number": lambda _: "must be a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: SWITCH),
    **dict.fromkeys(("string_type", "string_unicode", "bytes_type"), lambda _: TEXT),
    "string_too_short": lambda _: FILLED,
    "string_pattern_mismatch": lambda context: NAMES.get(
        str(context["pattern"]), f"must match the pattern {context['pattern']}"
    ),
    "literal_error": lambda context: f"must be {_literals(str(context['expected']))}",
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than": lambda context: f"must be less than {context['lt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "too_short": lambda context: _entries(context, "min_length", "at least"),
    "too_long": lambda context: _entries(context, "max_length", "at most"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), lambda _: LIST),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "mapping_type"), lambda _: SECTION),
}
"""What must hold of a value, by the type of pydantic's error."""


SHORT = ("missing", "too_short", "too_long", "string_too_short")
"""Types of errors whose statement is complete without the value."""


def explain(detail: ErrorDetails, model: type[BaseModel], origins: Origins) -> Problem:
    """Return the problem that an error of pydantic describes.

    Args:
        detail: the error.
        model: model of the whole file.
        origins: where the values come from.
    """
    location, context, kind = tuple(detail["loc"]), detail.get("ctx", {}), detail["type"]
    if kind == CONFLICT:
        keys = [(*location, *key) for key in context["keys"]]
        cause = f"{dotted(location)}: {context['cause']}" if location else context["cause"]
        return contradiction(cause, context["fix"], keys or [location], origins)
    if kind == "extra_forbidden":
        hint = context.get("hint") or unknown_key_hint(model, location)
        cause = f"the key {dotted(location)} is unknown{hint}"
        return Problem(cause, f"Correct or remove it; {SCHEMA}.", origins.place(location), location)
    if location and location[-1] == KEY:
        location = location[:-1]
        statement = STATEMENTS.get(kind, _unusable)(context)
        cause = f"the name {location[-1]} in {dotted(location[:-1])} {statement}."
        return Problem(cause, "Rename it.", origins.place(location), location)
    if kind == "value_error":
        cause = f"{dotted(location) or 'the configuration'}: {detail['msg'].removeprefix('Value error, ')}"
        cause += "" if cause.endswith("?") else "."
        return Problem(cause, f"Correct it; {SCHEMA}.", origins.place(location), location)
    statement = STATEMENTS.get(kind, _unusable)(context)
    shown = "" if kind in SHORT else _shown(detail["input"], origins.text(location))
    cause = f"{dotted(location) or 'the file'} {statement}{shown}."
    return Problem(cause, _fix(kind, detail["input"], location, model, origins), origins.place(location), location)


def contradiction(cause: str, fix: str, keys: Sequence[Location], origins: Origins) -> Problem:
    """Return the problem of values that contradict each other; the places of all of them are named."""
    given = [key for key in keys if origins.is_given(key)]
    first = max(given, key=origins.rank, default=keys[0])  # the user's file rather than the default one
    place = origins.place(first)
    others = {dotted(key): origins.place(key) for key in given if origins.place(key) != place}
    also = "; ".join(f"{key}: {other}" for key, other in others.items())
    cause = f"{cause.rstrip('.')}{f' ({also})' if also else ''}{'' if cause.endswith('?') else '.'}"
    return Problem(cause, fix, place, first)


def dotted(location: Location) -> str:
    """Return the name of a key, with unprintable characters escaped; items of a list count from 0."""
    name = ".".join(str(part) for part in location if part != KEY)
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name)


def _fix(kind: str, value: Any, location: Location, model: type[BaseModel], origins: Origins) -> str:
    description = _description(model, location)
    name = next((part for part in reversed(location) if isinstance(part, str)), "")
    meaning = f" ({name}: {description})" if description else ""
    text = origins.text(location)
    if kind == "missing":
        return f"Add the key{meaning or f'; {SCHEMA}'}."
    if value is None:
        return f"Write a value, or remove the key for its default{meaning}."
    if kind in ("string_type", "literal_error") and not isinstance(value, str | list | dict) and text:
        return f'Write it in quotes: "{text}".'
    return f"Correct the value{meaning or f'; {SCHEMA}'}."


def _description(model: type[BaseModel], location: Location) -> str:
    """Return the description of a field without its full stop; empty if it belongs to a plugin."""
    here: Any = model
    description = ""
    for part in location:
        if get_origin(here) is dict:
            here, description = get_args(here)[1], ""
        elif isinstance(here, type) and issubclass(here, BaseModel) and part in here.model_fields:
            field = here.model_fields[str(part)]
            here, description = field.annotation, field.description or ""
        else:
            description = description if isinstance(part, int) else ""
            break
    return re.split(r"(?<=[a-z)])[.:;] ", description, maxsplit=1)[0].rstrip(".")


def _literals(expected: str) -> str:
    return re.sub(r"'([^']*)'", r'"\1"', expected)


def _shown(value: Any, text: str | None) -> str:
    if value is None:
        return ", but is empty"
    if isinstance(value, Mapping):
        return ", not a section"
    if isinstance(value, list | tuple):
        return ", not a list"
    shown = f'"{value}"' if isinstance(value, str) else text or str(value)
    return f", not {shown if len(shown) <= MAX_SHOWN else f'{shown[: MAX_SHOWN - 3]}...'}"
