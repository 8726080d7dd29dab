"""Packed rows attend only within themselves, without a mask of [s, s], also on a rank with a part of the positions."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from tapeout.nemo.attention import FusedAttention, row_boundaries, row_mask
from tapeout.nemo.context import boundaries_of, chunks
from tapeout.train.loader import collate

pytestmark = pytest.mark.environment("nemo")

LENGTH, HEADS, GROUPS, SIZE = 12, 4, 2, 8
ROWS = st.lists(st.integers(1, LENGTH), min_size=1, max_size=4).filter(lambda lengths: sum(lengths) <= LENGTH)


def segments_of(batch: list[list[int]]) -> torch.Tensor:
    """Return the row of every position, -1 for padding."""
    lines = [[row for row, length in enumerate(lengths) for _ in range(length)] for lengths in batch]
    return torch.tensor([line + [-1] * (LENGTH - len(line)) for line in lines])


@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_rows_and_their_gradients_are_those_of_each_row_alone(batch: list[list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(LENGTH, len(batch), heads, SIZE) for heads in (HEADS, GROUPS, GROUPS)]
    parts = [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]
    attention = FusedAttention.__new__(FusedAttention)
    torch.nn.Module.__init__(attention)
    attention.config, attention.scale = SimpleNamespace(context_parallel_size=1), SIZE**-0.5
    boundaries = row_boundaries(segments_of(batch))
    packed = attention(*parts, boundaries).unflatten(2, (HEADS, SIZE))
    alone = []
    for sequence, lengths in enumerate(batch):
        padding = LENGTH - sum(lengths)
        rows = [part[:, sequence].transpose(0, 1).split([*lengths, *[padding] * bool(padding)], 1) for part in parts]
        mixed = [scaled_dot_product_attention(*row, is_causal=True, enable_gqa=True) for row in zip(*rows, strict=True)]
        alone.append(torch.cat(mixed, 1).transpose(0, 1))
    expected = torch.stack(alone, 1)
    torch.testing.assert_close(packed, expected, rtol=0, atol=1e-12)
    weights = torch.randn(packed.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((mixed * weights).sum(), parts) for mixed in (packed, expected)]
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_a_batch_has_the_boundaries_of_its_rows_and_the_positions_that_count() -> None:
    segments = segments_of([[3, 2], [12]])
    mask = torch.zeros(2, LENGTH, dtype=torch.uint8)
    mask[0, 4] = mask[1, 0] = 1
    batch = collate([{"loss_mask": mask[index], "segments": segments[index]} for index in range(2)])
    assert batch["attention_mask"].tolist() == [0, 3, 5, 12, 24] and batch["attention_mask"].dtype == torch.int32
    assert batch["loss_positions"].tolist() == [4, 12]
    assert "segments" not in batch


@given(st.lists(ROWS, min_size=1, max_size=3), st.sampled_from([1, 2, 3, 6]))
@settings(max_examples=50, deadline=None)
def test_ranks_that_share_sequences_attend_to_what_one_rank_attends_to(batch: list[list[int]], ranks: int) -> None:
    """Each pair of a query and a key that the mask allows is in one piece of one rank, and no other pair is."""
    boundaries, own = row_boundaries(segments_of(batch)), torch.arange(len(batch) * LENGTH).view(len(batch), LENGTH)
    found = torch.zeros(len(batch) * LENGTH, len(batch) * LENGTH, dtype=torch.int)
    for rank in range(ranks):
        for chunk in chunks(LENGTH, rank, ranks):
            numbers = own[:, chunk.start : chunk.stop].flatten()
            ends = [part.tolist() for part in boundaries_of(chunk, boundaries, len(batch), LENGTH)]
            for (start, stop), (first, last) in zip(*map(pairwise, ends), strict=True):
                # causal attention with fewer queries than keys: the last query attends to all keys
                allowed = torch.ones(stop - start, last - first, dtype=torch.int).tril(last - first - (stop - start))
                found[numbers[start:stop], first:last] += allowed
            assert ends[0][-1] == len(numbers) and ends[1][-1] == len(batch) * LENGTH
    expected = torch.block_diag(*row_mask(boundaries, len(batch), LENGTH)[:, 0])
    assert torch.equal(found, expected.int())
