"""One record of a source file, and its validation by the pydantic model of its format.

A model visits each record once. What pydantic finds becomes a ``BadRow`` whose reason names the field, without numbers
or content, so that equal faults are counted together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tapeout.data.errors import BadRow
from tapeout.data.instructions.report import MAX_NAME_CHARACTERS
from tapeout.data.instructions.row import clean, has_surrogates
from tapeout.data.io.ngrams import unicode_form

MAX_NAMES = 8
"""Field names that an error shows."""
TYPES = {
    "string_type": "text",
    "list_type": "list",
    "dict_type": "object",
    "model_type": "object",
    "bool_type": "truth value",
    "int_type": "whole number",
    "float_type": "number",
}
"""Expected value of a field, by the type of pydantic's error."""

WHOLE: Any = object()
"""Stands for the value of a whole record; null is a value."""

Model = TypeVar("Model", bound="RecordModel")


def _valid(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("bad_character", "NUL character in a text")
    if has_surrogates(text):
        raise PydanticCustomError("bad_character", "lone surrogate")
    return text


def _filled(text: str) -> str:
    cleaned = clean(text)
    if not unicode_form(cleaned).strip():
        raise PydanticCustomError("empty", "is empty")
    return cleaned


Text = Annotated[str, AfterValidator(_valid)]
"""A text as it is: no NUL, no lone surrogate."""
CleanText = Annotated[Text, AfterValidator(clean)]
"""A text with normalized white space, which may be empty."""
FilledText = Annotated[Text, AfterValidator(_filled)]
"""A text with normalized white space and a visible character."""


class RecordModel(BaseModel):
    """Base of the models of records: no conversion of types, other fields ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


@dataclass(frozen=True)
class Record:
    """One value read from a source.

    Attributes:
        source: name of the source.
        location: path in the source, and line, record or item.
        value: any JSON value, or what the format's own reader gives.
    """

    source: str
    location: str
    value: Any

    def bad(self, reason: str, detail: str = "") -> BadRow:
        """Return the error that this record cannot be used."""
        return BadRow(self.location, reason, detail)

    def parse(self, model: type[Model], value: Any = WHOLE, what: str = "the row") -> Model:
        """Validate the record, or a part of it, by a model.

        Args:
            model: the model.
            value: part of the record; by default all of it.
            what: name of the part in messages.

        Raises:
            BadRow: the model does not accept it.
        """
        value = self.value if value is WHOLE else value
        try:
            return model.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise self.bad(*_explained(first, value, what)) from None


def _explained(error: ErrorDetails, value: Any, what: str) -> tuple[str, str]:
    """Return the reason, under which the row is counted, and a detail for the message."""
    *parents, name = error["loc"] or ("",)
    path = ".".join(str(part) for part in error["loc"][:-1] if isinstance(part, str))
    owner = f"an item of {path}" if parents and isinstance(parents[-1], int) else path or what
    field = f"an item of {path}" if isinstance(name, int) else f"field {name!r} of {owner}" if name else what
    kind = error["type"]
    if kind == "missing":
        there = _at(value, parents)
        return f"{owner} has no field {name!r}", f"it has {_names(there)}"
    if kind == "extra_forbidden":
        return "a field is unknown", repr(name)[:MAX_NAME_CHARACTERS]
    if kind == "bad_character":
        return error["msg"], str(name)
    if kind in TYPES:
        return f"{field} is not a {TYPES[kind]}".replace("a object", "an object"), type(error["input"]).__name__
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{field} {message[0].lower()}{message[1:]}", repr(error["input"])[:MAX_NAME_CHARACTERS]


def _at(value: Any, path: list[int | str]) -> Any:
    for part in path:
        value = value[part]
    return value


def _names(value: Any) -> str:
    names = list(value) if isinstance(value, Mapping) else []
    shown = [repr(name)[:MAX_NAME_CHARACTERS] for name in names[:MAX_NAMES]]
    return ", ".join([*shown, *([f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else [])]) or "none"
