"""Comparison of models that SentencePiece wrote."""

from pathlib import Path

import pytest
from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.compare.file_comparison import Level
from tapeout.compare.tokenizers import PiecesDetail, compare_model
from tests.tokenizer.material import train_base

pytestmark = pytest.mark.environment("nemo")


def test_a_trained_model_with_changes(tmp_path: Path) -> None:
    old, new = tmp_path / "old.model", tmp_path / "new.model"
    old.write_bytes(train_base())
    model = protocol.ModelProto.FromString(old.read_bytes())
    new.write_bytes(model.SerializeToString())
    assert compare_model(old, new, 20).level is Level.VALUES
    first = len(model.pieces)
    model.pieces.append(protocol.ModelProto.SentencePiece(piece="brand_new", score=-9.5))
    model.pieces[300].score -= 0.5
    model.normalizer_spec.add_dummy_prefix = not model.normalizer_spec.add_dummy_prefix
    new.write_bytes(model.SerializeToString())
    comparison = compare_model(old, new, 20)
    assert comparison.reason == "1 piece added, 1 score changed, 1 other setting changed"
    assert isinstance(comparison.detail, PiecesDetail)
    (added,) = comparison.detail.changes["pieces added"]
    assert (added.piece, added.new) == ("brand_new", first) and comparison.detail.new_pieces == first + 1
    assert [change.name for change in comparison.detail.other] == ["normalizer_spec"]
