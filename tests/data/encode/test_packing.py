"""Order, windows, blend and packing: nothing is lost, nothing is cut, and only the seed decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.data.encode.packing import OPEN_BINS, EndlessOrder, blend, pack, permutation, windows

pytestmark = pytest.mark.environment("data")


def test_windows_predict_every_token_once() -> None:
    cut = windows([[1, 10, 11, 2], [1, 12, 2]], 3)
    assert cut.tolist() == [[1, 10, 11, 2], [2, 1, 12, 2]]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.3, 0.5])
def test_blend_is_exact_and_even(fraction: float) -> None:
    assert blend([1 - fraction, fraction], 1000)[1] == round(1000 * fraction)
    assert abs(blend([1 - fraction, fraction], 100)[1] - 100 * fraction) <= 1


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=6), st.integers(0, 10**12))
def test_every_prefix_has_the_fractions_and_every_sample_one_component(weights: list[float], count: int) -> None:
    fractions = [weight / sum(weights) for weight in weights]
    counts, following = blend(fractions, count), blend(fractions, count + 1)
    assert sum(counts) == count and min(counts) >= 0
    assert sorted(b - a for a, b in zip(counts, following, strict=True)) == [0] * (len(weights) - 1) + [1]
    for drawn, fraction in zip(counts, fractions, strict=True):
        assert abs(drawn - count * fraction) <= len(fractions) + 1e-3


@given(st.floats(0, 0.999), st.integers(1, 300))
def test_two_components_alternate_as_they_always_did(fraction: float, count: int) -> None:
    done = np.floor(np.arange(count + 1) * fraction + 1e-9)
    assert [blend([1 - fraction, fraction], index)[1] for index in range(count + 1)] == done.tolist()


@given(st.integers(0, 5), st.integers(1, 30), st.integers(0, 100))
def test_an_epoch_of_the_order_has_every_item_once_wherever_it_is_read(seed: int, count: int, index: int) -> None:
    order = EndlessOrder(seed, count)
    start = index - index % count
    expected = permutation(seed, index // count, count).tolist()
    assert order[index] == expected[index % count]
    assert [order[start + position] for position in range(count)] == expected
    assert sorted(expected) == list(range(count))


def as_first_written(lengths: list[int], order: list[int], capacity: int) -> list[list[int]]:
    """Pack by comparing all open bins for each row."""
    bins: list[list[int]] = []
    room: list[int] = []
    for row in order:
        recent = range(max(0, len(bins) - OPEN_BINS), len(bins))
        fitting = [(room[index], index) for index in recent if room[index] >= lengths[row]]
        if fitting:
            index = min(fitting)[1]
        else:
            index = len(bins)
            bins.append([])
            room.append(capacity)
        bins[index].append(row)
        room[index] -= lengths[row]
    return bins


@given(st.lists(st.integers(1, 64), max_size=300), st.integers(0, 9))
def test_packing_takes_every_row_once_into_the_fullest_recent_bin(lengths: list[int], seed: int) -> None:
    order = permutation(seed, 0, len(lengths))
    bins = pack(np.array(lengths, dtype=np.int32), order, 64)
    assert [bins[index] for index in range(len(bins))] == as_first_written(lengths, order.tolist(), 64)
    assert all(bins[index] for index in range(len(bins))), "no bin is empty"


def test_packing_wastes_little() -> None:
    lengths = np.random.default_rng(0).integers(1, 64, 500)
    assert len(pack(lengths, np.arange(500), 64)) * 64 < 1.1 * lengths.sum()
