"""Order, windows, blend and packing: nothing is lost, nothing is cut, and only the seed decides."""

import numpy as np
import pytest

from tapeout.data.encode.packing import blend, endless_order, pack, windows

pytestmark = pytest.mark.environment("data")


def test_windows_predict_every_token_once() -> None:
    cut = windows([[1, 10, 11, 2], [1, 12, 2]], 3)
    assert cut.tolist() == [[1, 10, 11, 2], [2, 1, 12, 2]]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.3, 0.5])
def test_blend_is_exact_and_even(fraction: float) -> None:
    second = blend(1000, fraction)
    assert second.sum() == round(1000 * fraction)
    assert abs(second[:100].sum() - 100 * fraction) <= 1


def test_order_draws_without_replacement_and_depends_on_the_seed_alone() -> None:
    order = endless_order(1, 10, 25)
    assert sorted(order[:10]) == list(range(10)) == sorted(order[10:20])
    assert order.tolist() == endless_order(1, 10, 100)[:25].tolist() != endless_order(2, 10, 25).tolist()


def test_packing_takes_every_row_once_and_cuts_none() -> None:
    lengths = np.random.default_rng(0).integers(1, 64, 500).tolist()
    bins = pack(lengths, np.arange(500), 64)
    assert sorted(row for members in bins for row in members) == list(range(500))
    assert max(sum(lengths[row] for row in members) for members in bins) <= 64
    assert len(bins) * 64 < 1.1 * sum(lengths)
