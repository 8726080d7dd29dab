"""Near duplicates agree with a comparison of all pairs, and depend only on documents that are near."""

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


def matches_by_hand(rows: list[list[int]], near: NearDuplicates) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """Return for each row the rows before it that are near; rows are sorted and represent their digests."""
    width = NUMBERS // near.bands
    matches = {}
    for index, row in enumerate(rows):
        matches[tuple(row)] = [
            tuple(other)
            for other in rows[:index]
            if sum(a == b for a, b in zip(row, other, strict=True)) >= near.threshold * NUMBERS
            and any(row[start : start + width] == other[start : start + width] for start in range(0, NUMBERS, width))
        ]
    return matches


def ordered(rows: list[list[int]]) -> list[list[int]]:
    return [list(row) for row in sorted({tuple(row) for row in rows})]


@settings(deadline=None, max_examples=150)
@given(SIGNATURES, SETTINGS)
def test_a_document_is_dropped_if_one_before_it_is_near(drawn: list[list[int]], near: NearDuplicates) -> None:
    rows = ordered(drawn)
    expected = matches_by_hand(rows, near)
    match = find(np.array(rows, dtype=np.uint32).reshape(-1, NUMBERS), near).match
    for row, other in zip(rows, match, strict=True):
        near_rows = expected[tuple(row)]
        assert (other >= 0) == bool(near_rows)
        assert other < 0 or tuple(rows[other]) in near_rows


@settings(deadline=None, max_examples=150)
@given(SIGNATURES, st.lists(st.integers(0, 2), min_size=NUMBERS, max_size=NUMBERS), SETTINGS)
def test_a_new_document_affects_only_its_near_duplicates(
    drawn: list[list[int]], new: list[int], near: NearDuplicates
) -> None:
    before = ordered([row for row in drawn if row != new])
    after = ordered([*before, new])

    def dropped(rows: list[list[int]]) -> dict[tuple[int, ...], list[int] | None]:
        match = find(np.array(rows, dtype=np.uint32).reshape(-1, NUMBERS), near).match
        return {tuple(row): rows[other] if other >= 0 else None for row, other in zip(rows, match, strict=True)}

    old, new_matches = dropped(before), dropped(after)
    for row in before:
        if sum(a == b for a, b in zip(row, new, strict=True)) < near.threshold * NUMBERS:
            assert old[tuple(row)] == new_matches[tuple(row)]


def test_a_match_need_not_be_the_first_of_its_bucket() -> None:
    near = NearDuplicates(threshold=0.75, permutations=NUMBERS, bands=4)
    first = np.arange(NUMBERS, dtype=np.uint32)
    second, third = first.copy(), first.copy()
    second[12] = third[12] = 100  # near the first: 15 of 16
    third[[4, 5, 8, 13]] = 1000  # 12 of 16 with the second, 11 with the first; only the first band is common
    assert find(np.array([second, third]), near).match.tolist() == [-1, 0]
    assert find(np.array([first, second, third]), near).match.tolist() == [-1, 0, 1]
