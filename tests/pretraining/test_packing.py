"""First fit decreasing: as by the book, and nothing lost, doubled, mixed or cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.data.first_fit import first_fit_decreasing
from tapeout.data.packed import write_packed

LENGTHS = st.lists(st.integers(1, 30), max_size=80)


def by_the_book(lengths: list[int], capacity: int) -> list[list[int]]:
    bins: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        for members in bins:
            if sum(lengths[each] for each in members) + lengths[row] <= capacity:
                members.append(row)
                break
        else:
            bins.append([row])
    return bins


@settings(deadline=None, max_examples=300)
@given(LENGTHS, st.integers(30, 64))
def test_the_bins_are_those_of_the_definition(lengths: list[int], capacity: int) -> None:
    assert [members.tolist() for members in first_fit_decreasing(lengths, capacity)] == by_the_book(lengths, capacity)


@pytest.mark.parametrize("lengths", [[0], [31], [5, 31]])
def test_a_row_that_does_not_fit_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="a bin takes 1 to 30"):
        first_fit_decreasing(lengths, 30)


ROWS = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), min_size=2, max_size=21).map(
        lambda pairs: tuple(zip(*pairs, strict=True))
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(ROWS)
def test_every_row_comes_back_whole_and_alone(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    counts = write_packed(rows, folder, 20, padding=7)
    read = {path.stem: np.load(path) for path in folder.iterdir()}
    assert sorted(read["rows"].tolist()) == list(range(len(rows)))
    used = 0
    for sequence in range(counts["sequences"]):
        members = range(read["sequences"][sequence], read["sequences"][sequence + 1])
        for number, member in enumerate(members):
            ids, mask = rows[read["rows"][member]]
            here = np.flatnonzero(read["segments"][sequence] == number)
            start = read["starts"][member]
            assert here.tolist() == list(range(start, start + len(ids) - 1))
            assert read["tokens"][sequence, here].tolist() == list(ids[:-1])
            assert read["labels"][sequence, here].tolist() == list(ids[1:])
            assert read["mask"][sequence, here].tolist() == list(mask[1:])
            assert read["positions"][sequence, here].tolist() == list(range(len(here)))
            used += len(here)
        rest = read["segments"][sequence] == -1
        assert not read["mask"][sequence, rest].any() and (read["tokens"][sequence, rest] == 7).all()
        assert rest.sum() == 20 - sum(len(rows[read["rows"][member]][0]) - 1 for member in members)
    assert used == counts["places"] == sum(len(ids) - 1 for ids, _ in rows)


def test_a_million_rows_take_moments() -> None:
    lengths = np.random.default_rng(1).geometric(0.004, 1_000_000).clip(1, 4096)
    bins = first_fit_decreasing(lengths, 4096)
    assert sum(map(len, bins)) == 1_000_000
    assert len(bins) <= np.ceil(lengths.sum() / 4096) * 1.01
