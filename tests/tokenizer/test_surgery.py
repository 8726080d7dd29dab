"""New rows are means of their parts, and old rows are unchanged."""

import pytest
import torch

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.encoder.vocabulary import SentencePieceVocabulary, extend, parse
from tapeout.tokenizer.surgery import check_old_rows, mean_rows, parts_of_new_pieces, zero_rows
from tests.tokenizer.material import BASE, VOCABULARY

pytestmark = pytest.mark.environment("nemo")

base = SentencePieceEncoder(BASE)


def test_parts_have_no_dummy_prefix() -> None:
    pieces = ["▁clk", "clk", "▁designs", "designs"]
    parts = parts_of_new_pieces(VOCABULARY, SentencePieceVocabulary(extend(BASE, pieces)))
    assert ["".join(base.id_to_piece(part) for part in ids) for ids in parts] == pieces
    with_prefix = base.processor.encode(pieces[1], out_type=str)
    assert "".join(with_prefix) == "▁clk"


def test_a_tokenizer_that_does_not_extend_the_model_is_an_error() -> None:
    other = parse(extend(BASE, ["clk"]))
    other.pieces[7].piece = "other"
    with pytest.raises(InvalidVocabulary):
        parts_of_new_pieces(VOCABULARY, SentencePieceVocabulary(other.SerializeToString()))


def test_mean_and_zero_rows() -> None:
    rows = torch.arange(12.0).reshape(4, 3)
    assert torch.equal(mean_rows(rows, [[0, 2], [3]])[4:], torch.tensor([[3.0, 4.0, 5.0], [9.0, 10.0, 11.0]]))
    assert torch.equal(zero_rows(rows, [[0], [1]]), torch.cat([rows, torch.zeros(2, 3)]))
    assert torch.equal(mean_rows(rows, []), rows)


def test_one_changed_bit_in_an_old_row_is_reported() -> None:
    old = {"w": torch.zeros(3, 2), "n": torch.ones(2)}
    new = {"w": torch.zeros(4, 2), "n": torch.ones(2)}
    check_old_rows(old, new)
    new["w"][1, 1] = -0.0
    with pytest.raises(InvalidVocabulary, match="w differs"):
        check_old_rows(old, new)
