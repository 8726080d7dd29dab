"""New rows: means of the right parts, and nothing else changed."""

import pytest
import torch

from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.encoder.vocabulary import extend, parse
from tapeout.tokenizer.surgery import (
    SurgeryError,
    check_old_rows,
    mean_rows,
    parts_of_new_pieces,
    zero_rows,
)
from tests.tokenizer.material import BASE

pytestmark = pytest.mark.environment("nemo")

base = SentencePieceEncoder(BASE)


def test_parts_have_no_dummy_prefix() -> None:
    pieces = ["▁clk", "clk", "▁designs", "designs"]
    parts = parts_of_new_pieces(BASE, extend(BASE, pieces))
    assert ["".join(base.id_to_piece(part) for part in ids) for ids in parts] == pieces
    with_prefix = base.processor.encode(pieces[1], out_type=str)
    assert "".join(with_prefix) == "▁clk"


def test_another_tokenizer_is_refused() -> None:
    other = parse(extend(BASE, ["clk"]))
    other.pieces[7].piece = "other"
    with pytest.raises(SurgeryError):
        parts_of_new_pieces(BASE, other.SerializeToString())


def test_rows() -> None:
    rows = torch.arange(12.0).reshape(4, 3)
    assert torch.equal(mean_rows(rows, [[0, 2], [3]])[4:], torch.tensor([[3.0, 4.0, 5.0], [9.0, 10.0, 11.0]]))
    assert torch.equal(zero_rows(rows, [[0], [1]]), torch.cat([rows, torch.zeros(2, 3)]))
    assert torch.equal(mean_rows(rows, []), rows)


def test_an_old_row_changed_in_one_bit_is_named() -> None:
    old = {"w": torch.zeros(3, 2), "n": torch.ones(2)}
    new = {"w": torch.zeros(4, 2), "n": torch.ones(2)}
    check_old_rows(old, new)
    new["w"][1, 1] = -0.0
    with pytest.raises(SurgeryError, match="w differs"):
        check_old_rows(old, new)
