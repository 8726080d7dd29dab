"""Comparison of tokenizers: SentencePiece models, written byte by byte, and ``tokenizer.json``."""

import struct
from pathlib import Path
from typing import Any

import pytest

from tapeout.compare.file_comparison import FileComparison, Level, Unreadable
from tapeout.compare.tokenizers import PiecesDetail, compare_model, compare_tokenizer, is_tokenizer

Piece = tuple[str, float, int]
PIECES: list[Piece] = [("<unk>", 0.0, 2), ("a", -1.0, 1), ("b", -2.0, 1), ("ab", -3.0, 1)]


def field(number: int, data: bytes) -> bytes:
    """Encode a length-delimited field of a protocol buffer."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def model(pieces: list[Piece], trainer: bytes = b"") -> bytes:
    """Encode a SentencePiece model."""
    parts = [
        field(1, field(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind]))
        for piece, score, kind in pieces
    ]
    return b"".join(parts) + (field(2, trainer) if trainer else b"")


def models(folder: Path, old: bytes, new: bytes) -> FileComparison:
    (folder / "old.model").write_bytes(old)
    (folder / "new.model").write_bytes(new)
    return compare_model(folder / "old.model", folder / "new.model", 20)


def detail(comparison: FileComparison) -> PiecesDetail:
    assert isinstance(comparison.detail, PiecesDetail)
    return comparison.detail


def shown(comparison: FileComparison, what: str) -> list[tuple[str, Any, Any]]:
    return [(change.piece, change.old, change.new) for change in detail(comparison).changes[what]]


def test_an_added_piece_renumbers_others_and_moves_none(tmp_path: Path) -> None:
    new = [PIECES[0], ("▁c", -9.0, 1), *PIECES[1:]]
    comparison = models(tmp_path, model(PIECES), model(new))
    assert comparison.reason == "1 piece added" and comparison.level is Level.NONE
    assert shown(comparison, "pieces added") == [("▁c", None, 1)] and detail(comparison).renumbered == 3


def test_moved_pieces_changed_scores_and_other_settings(tmp_path: Path) -> None:
    new = [PIECES[0], PIECES[3], PIECES[1], ("b", -2.5, 4)]
    comparison = models(tmp_path, model(PIECES, b"x"), model(new, b"y"))
    assert shown(comparison, "pieces moved") == [("ab", 3, 1)]
    assert shown(comparison, "scores changed") == [("b", -2.0, -2.5)]
    assert [change.name for change in detail(comparison).other] == ["types.b", "trainer_spec"]
    assert models(tmp_path, model(PIECES), model(PIECES[:2])).reason == "2 pieces removed"


def test_another_order_of_fields_is_the_same_model(tmp_path: Path) -> None:
    late = model([])[:0] + field(2, b"x") + model(PIECES)
    assert models(tmp_path, model(PIECES, b"x"), late).level is Level.VALUES


@pytest.mark.parametrize("data", [b"", b"\0\1\2", b"{}", model(PIECES)[:-1], model([PIECES[1], PIECES[1]])])
def test_other_data_is_unreadable(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Unreadable, match="the new file is not a SentencePiece model"):
        models(tmp_path, model(PIECES), data)


def tokenizer(vocabulary: Any, merges: Any = (), **rest: Any) -> dict[str, Any]:
    return {"model": {"type": "BPE", "vocab": vocabulary, "merges": list(merges)}, **rest}


def test_hugging_face_vocabularies_and_merges() -> None:
    old = tokenizer({"a": 0, "b": 1, "ab": 2}, ["a b", "b a"], added_tokens=[{"id": 0}])
    new = tokenizer({"a": 0, "ab": 1, "c": 2}, [["b", "a"], ["a", "b"], ["a", "c"]], added_tokens=[{"id": 1}])
    comparison = compare_tokenizer(old, new, 20)
    assert comparison.reason == (
        "1 piece added, 1 piece removed, 1 merge added, 1 merge moved, 2 other settings changed"
    )
    assert shown(comparison, "merges added") == [("a c", None, 2)] and is_tokenizer(old)
    assert compare_tokenizer(old, {**old}, 20).level is Level.VALUES
    unigram = [{"model": {"vocab": [["a", -1.0], ["b", score]]}} for score in (-2.0, -3.0)]
    assert compare_tokenizer(*unigram, 20).reason == "1 score changed"


@pytest.mark.parametrize("vocabulary", [{"a": "x"}, [["a"]], [1], {"a": None}])
def test_invalid_vocabularies_are_unreadable(vocabulary: Any) -> None:
    with pytest.raises(Unreadable):
        compare_tokenizer(tokenizer({"a": 0}), tokenizer(vocabulary), 20)
    assert not is_tokenizer({"model": "x"}) and not is_tokenizer([])
