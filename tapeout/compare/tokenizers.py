"""Comparison of tokenizers: pieces and merges that were added, removed, moved or got another score.

Reads SentencePiece models, which are protocol buffers, and the ``tokenizer.json`` of Hugging Face.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tapeout.compare.file_comparison import Detail, FileComparison, Level, Unreadable, counted, unmoved
from tapeout.compare.values import ValueChange, differences
from tapeout.graph.identity.digest import digest_bytes

PARTS = ("trainer_spec", "normalizer_spec", "self_test_data", "denormalizer_spec")
"""Fields of a SentencePiece model after its pieces, in order."""
MOVES = ("added", "removed", "moved")


@dataclass(frozen=True)
class PieceChange:
    """A piece, or a merge written as its two halves; ``old`` and ``new`` are ids, indices or scores."""

    piece: str
    old: float | None
    new: float | None


@dataclass(frozen=True)
class PiecesDetail(Detail):
    """Changes of a tokenizer. Moved pieces changed their order; ``renumbered`` counts all with another id."""

    kind = "tokenizer"

    old_pieces: int
    new_pieces: int
    renumbered: int
    counts: dict[str, int]
    changes: dict[str, tuple[PieceChange, ...]]
    other: tuple[ValueChange, ...]


@dataclass(frozen=True)
class _Vocabulary:
    """Ids, scores and types by piece, merges in order, and all other settings as JSON values."""

    ids: dict[str, int]
    scores: dict[str, float]
    merges: list[str]
    types: dict[str, int]
    rest: dict[str, Any]


def is_tokenizer(value: Any) -> bool:
    """Return whether a JSON document is a Hugging Face tokenizer."""
    model = value.get("model") if isinstance(value, dict) else None
    return isinstance(model, dict) and isinstance(model.get("vocab"), dict | list)


def compare_tokenizer(old: Any, new: Any, limit: int | None) -> FileComparison:
    """Compare two ``tokenizer.json`` documents.

    Raises:
        Unreadable: a vocabulary or its merges do not have the format of Hugging Face.
    """
    return _compare(_from_json(old), _from_json(new), limit)


def compare_model(old: Path, new: Path, limit: int | None) -> FileComparison:
    """Compare two SentencePiece models.

    Raises:
        Unreadable: one of them is not a SentencePiece model.
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
        raise Unreadable("The vocabulary does not have the format of Hugging Face.", "Build it again.") from error
    return _Vocabulary(ids, scores, pairs, {}, {**value, "model": model})


def _model_type() -> Any:
    """Return a message class for the pieces of a model; its other fields are compared as bytes.

    ``sentencepiece`` has the full protocol, but is not in the environment of the commands.
    """
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
        raise Unreadable(f"{what} is not a SentencePiece model.", "Build it again.") from error
    names = [piece.piece.decode(errors="backslashreplace") for piece in model.pieces]
    if not names or len(set(names)) != len(names):
        raise Unreadable(f"{what} is not a SentencePiece model: no pieces, or repeated ones.", "Build it again.")
    types = {name: piece.type for name, piece in zip(names, model.pieces, strict=True)}
    scores = {name: piece.score for name, piece in zip(names, model.pieces, strict=True)}
    parts = {part: digest_bytes(getattr(model, part)) for part in PARTS if getattr(model, part)}
    return _Vocabulary({name: number for number, name in enumerate(names)}, scores, [], types, parts)


def _compare(old: _Vocabulary, new: _Vocabulary, limit: int | None) -> FileComparison:
    changes = {f"piece~ {move}": pieces for move, pieces in zip(MOVES, _moves(old.ids, new.ids), strict=True)}
    common = [piece for piece in old.ids if piece in new.ids]
    changes["score~ changed"] = [
        PieceChange(piece, old.scores.get(piece), new.scores.get(piece))
        for piece in common
        if old.scores.get(piece) != new.scores.get(piece)
    ]
    merges = _moves(_numbered(old.merges), _numbered(new.merges))
    changes |= {f"merge~ {move}": pairs for move, pairs in zip(MOVES, merges, strict=True)}
    before, after = ({piece: tokenizer.types.get(piece) for piece in common} for tokenizer in (old, new))
    other = [*differences(before, after, "types"), *differences(old.rest, new.rest)]
    counts = {name: len(pieces) for name, pieces in changes.items()} | {"other setting~ changed": len(other)}
    if not any(counts.values()):
        return FileComparison(Level.VALUES, "the same pieces and settings, written differently")
    detail = PiecesDetail(
        len(old.ids),
        len(new.ids),
        sum(old.ids[piece] != new.ids[piece] for piece in common),
        {_plural(name): count for name, count in counts.items()},
        {_plural(name): tuple(pieces[:limit]) for name, pieces in changes.items()},
        tuple(other[:limit]),
    )
    return FileComparison(Level.NONE, counted(*((count, name) for name, count in counts.items())), detail)


def _plural(name: str) -> str:
    return name.replace("~", "s")


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _moves(old: dict[str, int], new: dict[str, int]) -> list[list[PieceChange]]:
    """Return what was added, what was removed, and what changed its order relative to the other common ones."""
    added = [PieceChange(name, None, number) for name, number in new.items() if name not in old]
    removed = [PieceChange(name, number, None) for name, number in old.items() if name not in new]
    common = sorted((number, name) for name, number in old.items() if name in new)
    unmoved_indices = unmoved([new[name] for _, name in common])
    moved = [
        PieceChange(name, number, new[name])
        for index, (number, name) in enumerate(common)
        if index not in unmoved_indices
    ]
    return [added, removed, moved]
