"""Near duplicates beside a comparison of all pairs: who goes depends on those that are near, and on no other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.pretraining import NearDuplicates
from tapeout.data.shards.near_duplicates import find

pytestmark = pytest.mark.environment("corpus")

NUMBERS = 16
SETTINGS = st.sampled_from(
    [
        NearDuplicates(threshold=threshold, permutations=NUMBERS, bands=bands)
        for threshold in (0.5, 0.75)
        for bands in (4, 8, 16)
    ]
)
SIGNATURES = st.lists(st.lists(st.integers(0, 2), min_size=NUMBERS, max_size=NUMBERS), max_size=14)


def going(rows: list[list[int]], near: NearDuplicates) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """Whom each row may go because of; rows in the order of their digests, for which they stand here themselves."""
    width = NUMBERS // near.bands
    found = {}
    for place, row in enumerate(rows):
        found[tuple(row)] = [
            tuple(other)
            for other in rows[:place]
            if sum(a == b for a, b in zip(row, other, strict=True)) >= near.threshold * NUMBERS
            and any(row[start : start + width] == other[start : start + width] for start in range(0, NUMBERS, width))
        ]
    return found


def ordered(rows: list[list[int]]) -> list[list[int]]:
    return [list(row) for row in sorted({tuple(row) for row in rows})]


@settings(deadline=None, max_examples=150)
@given(SIGNATURES, SETTINGS)
def test_exactly_those_with_a_near_one_before_them_go(drawn: list[list[int]], near: NearDuplicates) -> None:
    rows = ordered(drawn)
    wanted = going(rows, near)
    found = find(np.array(rows, dtype=np.uint32).reshape(-1, NUMBERS), near).match
    for row, because in zip(rows, found, strict=True):
        alike = wanted[tuple(row)]
        assert (because >= 0) == bool(alike)
        assert because < 0 or tuple(rows[because]) in alike


@settings(deadline=None, max_examples=150)
@given(SIGNATURES, st.lists(st.integers(0, 2), min_size=NUMBERS, max_size=NUMBERS), SETTINGS)
def test_a_row_more_decides_only_about_those_that_are_near_it(
    drawn: list[list[int]], new: list[int], near: NearDuplicates
) -> None:
    before = ordered([row for row in drawn if row != new])
    after = ordered([*before, new])

    def gone(rows: list[list[int]]) -> dict[tuple[int, ...], list[int] | None]:
        found = find(np.array(rows, dtype=np.uint32).reshape(-1, NUMBERS), near).match
        return {tuple(row): rows[because] if because >= 0 else None for row, because in zip(rows, found, strict=True)}

    was, now = gone(before), gone(after)
    for row in before:
        if sum(a == b for a, b in zip(row, new, strict=True)) < near.threshold * NUMBERS:
            assert was[tuple(row)] == now[tuple(row)]


def test_one_that_is_near_a_lost_one_goes_though_the_first_of_its_bucket_is_far() -> None:
    near = NearDuplicates(threshold=0.75, permutations=NUMBERS, bands=4)
    first = np.arange(NUMBERS, dtype=np.uint32)
    second, third = first.copy(), first.copy()
    second[12] = third[12] = 100  # near the first: 15 of 16
    third[[4, 5, 8, 13]] = 1000  # 12 of 16 with the second, 11 with the first; only the first band is common
    assert find(np.array([second, third]), near).match.tolist() == [-1, 0]
    assert find(np.array([first, second, third]), near).match.tolist() == [-1, 0, 1]
