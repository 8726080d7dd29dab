"""New rows are mixtures of old ones, and old rows are unchanged."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tapeout.config.base import InitialRows
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.vocabulary import SentencePieceVocabulary, extend, parse
from tapeout.tokenizer.focus import sparsemax
from tapeout.tokenizer.initial_rows import INITIAL_ROWS
from tapeout.tokenizer.surgery import Mixture, check_old_rows, new_rows, parts_of_new_pieces
from tests.tokenizer.material import BASE, VOCABULARY

pytestmark = pytest.mark.environment("nemo")


def test_a_tokenizer_that_does_not_extend_the_model_is_an_error() -> None:
    other = parse(extend(BASE, ["clk"]))
    other.pieces[7].piece = "other"
    with pytest.raises(InvalidVocabulary):
        parts_of_new_pieces(VOCABULARY, SentencePieceVocabulary(other.SerializeToString()))


def test_new_rows_are_weighted_means_in_the_type_of_the_old_ones() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        rows = torch.arange(12.0, dtype=dtype).reshape(4, 3)
        new = new_rows(rows, [Mixture([0, 2], [1.0, 1.0]), Mixture([3, 1], [3.0, 1.0]), Mixture([], [])])
        assert torch.equal(new, torch.tensor([[3, 4, 5], [7.5, 8.5, 9.5], [0, 0, 0]], dtype=dtype))
    assert new_rows(rows, []).shape == (0, 3)


def test_every_method_mixes_old_rows() -> None:
    pieces = ["▁clk", "signals", "▁designs"]
    extended = SentencePieceVocabulary(extend(BASE, pieces))
    parts, names = parts_of_new_pieces(VOCABULARY, extended), VOCABULARY.names
    found = {name: method(VOCABULARY, extended) for name, method in INITIAL_ROWS.items()}
    assert list(found) == list(get_args(InitialRows))
    assert found["mean"] == [(ids, [1.0] * len(ids)) for ids in parts] and found["zero"] == [((), ())] * 3
    for (ids, weights), own in zip(found["weighted-mean"], parts, strict=True):
        assert ids == own and weights == [len(names[index].replace("▁", " ").encode()) for index in ids]
    for piece, (ids, weights) in zip(pieces, found["focus"], strict=True):
        assert sum(weights) == pytest.approx(1) and min(weights) > 0 and weights == sorted(weights, reverse=True)
        assert set(names[ids[0]]) <= set(piece) and len(ids) == len(set(ids))


def test_a_piece_that_resembles_no_other_is_the_mean_of_its_parts() -> None:
    (mixture,) = INITIAL_ROWS["focus"](VOCABULARY, SentencePieceVocabulary(extend(BASE, ["漢"])))
    assert set(mixture.ids) == set(VOCABULARY.split("漢")) and set(mixture.weights) == {1.0}


@given(st.lists(st.floats(0, 1), max_size=9).map(lambda scores: sorted(scores, reverse=True)))
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores: list[float]) -> None:
    """The differences between scores and weights are equal where a weight is positive, and smaller elsewhere."""
    weights = sparsemax(scores)
    assert sum(weights) == pytest.approx(float(bool(scores))) and all(weight >= 0 for weight in weights)
    differences = [score - weight for score, weight in zip(scores, weights, strict=False)]
    rest = scores[len(weights) :]
    assert not scores or (max(differences) - min(differences) < 1e-9 and all(s <= differences[0] + 1e-9 for s in rest))


def test_one_changed_bit_in_an_old_row_is_reported() -> None:
    old = {"w": torch.zeros(3, 2), "n": torch.ones(2)}
    new = {"w": torch.zeros(4, 2), "n": torch.ones(2)}
    check_old_rows(old, new)
    new["w"][1, 1] = -0.0
    with pytest.raises(InvalidVocabulary, match="w differs"):
        check_old_rows(old, new)
