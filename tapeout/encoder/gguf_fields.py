"""Fields of a vocabulary that all GGUF files have, and their checks."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tapeout.encoder.errors import InvalidVocabulary

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces in ``tokenizer.ggml.token_type``; SentencePiece has the same numbers."""

ROLES = {"bos": "bos", "eos": "eos", "padding": "pad", "unknown": "unk"}
"""Roles of special pieces: the file's names and Hugging Face's."""

PADDING = "[PAD{}]"
"""Name of the piece of a row without one, as conversion programs of llama.cpp give it."""

OPTIONAL = {
    "tokenizer.ggml.pre": str,
    "tokenizer.ggml.add_bos_token": bool,
    "tokenizer.ggml.add_space_prefix": bool,
    "tokenizer.chat_template": str,
}
"""Fields that a file may have, and the type of their value."""


def check_optional(fields: Mapping[str, Any]) -> None:
    """Check the types of optional fields.

    Raises:
        InvalidVocabulary: a field has a value of another type.
    """
    wrong_type = next((name for name, kind in OPTIONAL.items() if not isinstance(fields.get(name, kind()), kind)), None)
    if wrong_type is not None:
        raise InvalidVocabulary(
            f"The GGUF file has the field {wrong_type} with the value {fields[wrong_type]!r}.",
            "Use another file; this one is damaged.",
        )


def check_list(fields: Mapping[str, Any], name: str, item_type: type) -> list[Any]:
    """Return the list in ``tokenizer.ggml.<name>``.

    Raises:
        InvalidVocabulary: there is none, or it has a value of another type.
    """
    values = fields.get(f"tokenizer.ggml.{name}")
    if not isinstance(values, list) or any(type(value) is not item_type for value in values):
        what = "texts" if item_type is str else "numbers"
        raise InvalidVocabulary(
            f"The GGUF file has no list of {what} in the field tokenizer.ggml.{name}.",
            "Use a file with its whole vocabulary, as current programs of llama.cpp write it.",
        )
    return values


def check_pieces(fields: Mapping[str, Any], allowed: Collection[int]) -> tuple[list[str], list[int]]:
    """Return the pieces and their types, without the unused pieces at the end, which stand for padding rows.

    Raises:
        InvalidVocabulary: a list is missing, a piece has a type that is not allowed, or two have one name.
    """
    pieces, types = check_list(fields, "tokens", str), check_list(fields, "token_type", int)
    if len(types) == len(pieces):
        count = next((end for end in range(len(types), 0, -1) if types[end - 1] != UNUSED), 0)
        pieces, types = pieces[:count], types[:count]
    unexpected = sorted(set(types) - set(allowed))
    if unexpected or len(types) != len(pieces) or len(set(pieces)) != len(pieces):
        what = f"has pieces of type {unexpected[0]}" if unexpected else "repeats pieces, or lacks their types"
        raise InvalidVocabulary(f"The vocabulary in the GGUF file {what}.", "Use another file; this one is damaged.")
    return pieces, types


def special_id(fields: Mapping[str, Any], name: str, size: int) -> int | None:
    """Return the id in ``tokenizer.ggml.<name>_token_id``; None if there is none.

    Raises:
        InvalidVocabulary: it is not the id of a piece.
    """
    index = fields.get(field := f"tokenizer.ggml.{name}_token_id")
    if index is not None and (type(index) is not int or not 0 <= index < size):
        raise InvalidVocabulary(
            f"The GGUF file has the field {field} with the value {index!r}, and pieces 0 to {size - 1}.",
            "Use another file; this one is damaged.",
        )
    return index


def padded(fields: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Return the fields of a vocabulary with an unused piece for each row of the embedding beyond its pieces."""
    tokens: Sequence[str] = fields["tokens"]
    names = [PADDING.format(index) for index in range(len(tokens), rows)]
    taken = sorted(set(names) & set(tokens))
    if taken:
        raise InvalidVocabulary(
            f"The vocabulary has the piece {taken[0]!r}, which is the name of a row without a piece in a GGUF file.",
            "Use a vocabulary without this piece.",
        )
    scores = {"scores": [min(fields["scores"])] * len(names)} if "scores" in fields else {}
    more: dict[str, list[Any]] = {"tokens": names, "token_type": [UNUSED] * len(names), **scores}
    return {**fields, **{name: [*fields[name], *values] for name, values in more.items()}}
