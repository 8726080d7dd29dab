"""The shards of all ranks cover every tensor exactly once; a gap, an overlap and an unknown tensor are named."""

import pytest

from benchmarks.meta_layout import RankContent, Shard, uncovered

WHOLE = {"layers": (4, 6), "norm": (6,)}
NORM: Shard = ((6,), (0,), (6,))


def rank(*layers: Shard, norm: Shard = NORM) -> RankContent:
    return RankContent(0, 0, {"layers": list(layers), "norm": [norm]})


def shard(row: int, column: int, height: int = 1, width: int = 3) -> Shard:
    return (4, 6), (row, column), (height, width)


@pytest.mark.parametrize(
    ("ranks", "found"),
    [
        ([rank(shard(0, 0), shard(1, 0)), rank(shard(0, 3), shard(1, 3))], True),
        ([rank(*(shard(row, 0) for row in range(4))), rank(*(shard(row, 3) for row in range(4)))], False),
        ([rank(shard(0, 0, 4, 6)), rank(shard(0, 0, 4, 6))], False),
        ([rank(shard(0, 0, 4, 6), norm=((5,), (0,), (5,)))], True),
        ([rank(shard(0, 0, 4), shard(0, 1, 4))], True),
        ([rank(shard(0, 0, 4), shard(0, 3, 4), shard(1, 3, 3, 1))], True),
        ([rank(shard(0, 0, 4)), rank(shard(0, 4, 4))], True),
        ([rank(shard(0, 0, 4)), rank(shard(0, 3, 4), norm=((6,), (0,), (5,)))], True),
        ([RankContent(0, 0, {"layers": [shard(0, 0, 4, 6)]})], True),
    ],
)
def test_tensors_that_are_not_covered_once_are_named(ranks: list[RankContent], found: bool) -> None:
    assert bool(uncovered(WHOLE, ranks)) == found
