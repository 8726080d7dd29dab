"""Tokenizers: pieces added, removed, moved and scored anew, and the merges behind them.

Two kinds of file: SentencePiece models, which are protocol buffers, and the ``tokenizer.json`` of Hugging Face.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tapeout.compare.file_comparison import Detail, Found, Level, Unreadable, counted
from tapeout.compare.order import in_order
from tapeout.compare.values import ValueChange, differences
from tapeout.graph.identity.digest import digest_bytes

PARTS = ("trainer_spec", "normalizer_spec", "self_test_data", "denormalizer_spec")
"""What a SentencePiece model holds beside its pieces, in the order of its fields."""


@dataclass(frozen=True)
class PieceChange:
    """A piece, or a merge written as its two halves; ``old`` and ``new`` are ids, places or scores."""

    piece: str
    old: float | None
    new: float | None


@dataclass(frozen=True)
class PiecesDetail(Detail):
    """Changes of a tokenizer. Moved pieces changed their order; ``renumbered`` counts all that have another id."""

    kind = "tokenizer"

    old_pieces: int
    new_pieces: int
    renumbered: int
    counts: dict[str, int]
    changes: dict[str, tuple[PieceChange, ...]]
    other: tuple[ValueChange, ...]


@dataclass(frozen=True)
class _Vocabulary:
    """A tokenizer: ids, scores and types by piece, merges in order, and the rest as JSON values."""

    ids: dict[str, int]
    scores: dict[str, float]
    merges: list[str]
    types: dict[str, int]
    rest: dict[str, Any]


def is_tokenizer(value: Any) -> bool:
    """Whether a JSON document is a Hugging Face tokenizer."""
    model = value.get("model") if isinstance(value, dict) else None
    return isinstance(model, dict) and isinstance(model.get("vocab"), dict | list)


def compare_tokenizer(old: Any, new: Any, limit: int | None) -> Found:
    """Two documents that are ``tokenizer.json``.

    Raises:
        Unreadable: a vocabulary or its merges are not made as Hugging Face makes them.
    """
    return _compare(_from_json(old), _from_json(new), limit)


def compare_model(old: Path, new: Path, limit: int | None) -> Found:
    """Two SentencePiece models.

    Raises:
        Unreadable: one of them is no such model.
    """
    return _compare(_from_model(old, "the old file"), _from_model(new, "the new file"), limit)


def _from_json(value: dict[str, Any]) -> _Vocabulary:
    model = dict(value["model"])
    vocabulary, merges = model.pop("vocab"), model.pop("merges", [])
    try:
        if isinstance(vocabulary, dict):
            ids, scores = {piece: int(number) for piece, number in vocabulary.items()}, {}
        else:
            ids = {piece: number for number, (piece, _) in enumerate(vocabulary)}
            scores = {piece: float(score) for piece, score in vocabulary}
        pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    except (TypeError, ValueError) as error:
        raise Unreadable("The vocabulary is not one of Hugging Face's.", "Build it again.") from error
    return _Vocabulary(ids, scores, pairs, {}, {**value, "model": model})


def _model_type() -> Any:
    """The part of SentencePiece's protocol that is compared piece by piece; all else counts as bytes."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="pieces.proto", package="tapeout", syntax="proto2")
    model = file.message_type.add(name="Model")
    piece = model.nested_type.add(name="Piece")
    for number, (name, kind) in enumerate(
        [("piece", field.TYPE_BYTES), ("score", field.TYPE_FLOAT), ("type", field.TYPE_INT32)], start=1
    ):
        piece.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    repeated = {"type": field.TYPE_MESSAGE, "type_name": ".tapeout.Model.Piece", "label": field.LABEL_REPEATED}
    model.field.add(name="pieces", number=1, **repeated)
    for number, name in enumerate(PARTS, start=2):
        model.field.add(name=name, number=number, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tapeout.Model"))


def _from_model(path: Path, what: str) -> _Vocabulary:
    try:
        model = _model_type().FromString(path.read_bytes())
    except DecodeError as error:
        raise Unreadable(f"{what} is no SentencePiece model.", "Build it again.") from error
    names = [piece.piece.decode(errors="backslashreplace") for piece in model.pieces]
    if not names or len(set(names)) != len(names):
        raise Unreadable(f"{what} is no SentencePiece model: no pieces, or repeated ones.", "Build it again.")
    types = {name: piece.type for name, piece in zip(names, model.pieces, strict=True)}
    scores = {name: piece.score for name, piece in zip(names, model.pieces, strict=True)}
    parts = {part: digest_bytes(getattr(model, part)) for part in PARTS if getattr(model, part)}
    return _Vocabulary({name: number for number, name in enumerate(names)}, scores, [], types, parts)


def _compare(old: _Vocabulary, new: _Vocabulary, limit: int | None) -> Found:
    changes = {f"piece~ {word}": found for word, found in zip(WORDS, _moves(old.ids, new.ids), strict=True)}
    common = [piece for piece in old.ids if piece in new.ids]
    changes["score~ changed"] = [
        PieceChange(piece, old.scores.get(piece), new.scores.get(piece))
        for piece in common
        if old.scores.get(piece) != new.scores.get(piece)
    ]
    merges = _moves(_numbered(old.merges), _numbered(new.merges))
    changes |= {f"merge~ {word}": found for word, found in zip(WORDS, merges, strict=True)}
    before, after = ({piece: tokenizer.types.get(piece) for piece in common} for tokenizer in (old, new))
    other = [*differences(before, after, "types"), *differences(old.rest, new.rest)]
    counts = {name: len(found) for name, found in changes.items()} | {"other setting~ changed": len(other)}
    if not any(counts.values()):
        return Found(Level.VALUES, "the same pieces and settings, written otherwise")
    detail = PiecesDetail(
        len(old.ids),
        len(new.ids),
        sum(old.ids[piece] != new.ids[piece] for piece in common),
        {_plural(name): count for name, count in counts.items()},
        {_plural(name): tuple(found[:limit]) for name, found in changes.items()},
        tuple(other[:limit]),
    )
    return Found(Level.NONE, counted(*((count, name) for name, count in counts.items())), detail)


WORDS = ("added", "removed", "moved")


def _plural(name: str) -> str:
    return name.replace("~", "s")


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _moves(old: dict[str, int], new: dict[str, int]) -> list[list[PieceChange]]:
    """What was added, what was removed, and what is in both and changed its place among the others."""
    added = [PieceChange(name, None, place) for name, place in new.items() if name not in old]
    removed = [PieceChange(name, place, None) for name, place in old.items() if name not in new]
    common = sorted((place, name) for name, place in old.items() if name in new)
    kept = in_order([new[name] for _, name in common])
    moved = [PieceChange(name, place, new[name]) for index, (place, name) in enumerate(common) if index not in kept]
    return [added, removed, moved]
