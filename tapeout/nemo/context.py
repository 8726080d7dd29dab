"""Context parallelism: each rank of a group has a part of the positions of every sequence.

Megatron-core's local layers do not support it. As Llama 3 did (arXiv 2407.21783, section 3.3.2), each rank computes the
attention of its own positions, over keys and values that are gathered from all ranks of the group. Everything else in a
layer works on single positions.

A sequence is cut into two chunks for each rank, and rank i of n has chunks i and 2 n - 1 - i: a late position attends
to more than an early one, and so every rank has the same work. Megatron's rotary embeddings expect this division.
"""

import torch
from megatron.core import parallel_state
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from torch import Tensor


def chunks(length: int, rank: int, parts: int) -> tuple[range, range]:
    """Return the positions of a sequence that one of ``parts`` ranks has; ``2 * parts`` must divide the length."""
    size = length // (2 * parts)
    first, second = rank * size, (2 * parts - 1 - rank) * size
    return range(first, first + size), range(second, second + size)


def own_chunks(length: int) -> tuple[range, range]:
    """Return the positions that this rank has."""
    return chunks(length, parallel_state.get_context_parallel_rank(), parallel_state.get_context_parallel_world_size())


def own_positions(length: int) -> Tensor | None:
    """Return the positions that this rank has [s / n]; None without context parallelism, where it has all."""
    if parallel_state.get_context_parallel_world_size() == 1:
        return None
    return torch.tensor([position for chunk in own_chunks(length) for position in chunk])


def in_order(gathered: Tensor) -> Tensor:
    """Return the positions of all ranks, [s, ...], in the order of the sequence and not of the ranks."""
    pieces = gathered.chunk(2 * parallel_state.get_context_parallel_world_size())
    # rank i has pieces 2 i and 2 i + 1, the chunks i and 2 n - 1 - i of the sequence
    return torch.cat([*pieces[::2], *reversed(pieces[1::2])])


def gather(part: Tensor) -> Tensor:
    """Gather the positions of all ranks in the order of the sequence; [s / n, ...] each, result [s, ...].

    The gradient of a position is the sum of those that all ranks have for it.
    """
    group = parallel_state.get_context_parallel_group()
    return in_order(gather_from_sequence_parallel_region(part, tensor_parallel_output_grad=True, group=group))


def boundaries_of(chunk: range, boundaries: Tensor, batch: int, length: int) -> tuple[Tensor, Tensor]:
    """Return the boundaries of rows, as far as a chunk of the positions attends to them.

    A row that continues after the chunk is cut there, so that the queries of a piece are the last of its positions, as
    attention with fewer queries than keys assumes. A piece before or after the chunk has no queries.

    Args:
        chunk: positions of the queries in each sequence.
        boundaries: boundaries of the rows in the flattened batch, int32 [rows + 1]; see ``row_boundaries``.
        batch: number of sequences.
        length: positions of a sequence.

    Returns:
        boundaries in the flattened queries [batch * chunk] and in the flattened keys [batch * length], int32
        [rows + 1 + batch] both.
    """
    ends = torch.arange(batch, device=boundaries.device, dtype=boundaries.dtype) * length + chunk.stop
    keys = torch.cat([boundaries, ends]).sort().values
    queries = keys // length * len(chunk) + (keys % length - chunk.start).clamp(0, len(chunk))
    return queries.to(boundaries.dtype), keys
