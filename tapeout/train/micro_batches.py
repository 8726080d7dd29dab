"""Losses of the micro-batches of a step, from all ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from megatron.core import parallel_state
from torch import Tensor, distributed


@dataclass(frozen=True)
class MicroBatch:
    """Loss of one micro-batch.

    Attributes:
        rank: a rank that computed it. Of ranks that share its positions, the first whose loss is not finite, or else
            the first.
        replica: index of this rank's replica of the model.
        number: index of the micro-batch among those of the replica in the step.
        loss: mean over its tokens with a loss.
    """

    rank: int
    replica: int
    number: int
    loss: float


def losses_of_all(own: Tensor | None, device: torch.device) -> list[MicroBatch]:
    """Return the micro-batches of all replicas; all ranks call this together.

    Args:
        own: sum of the losses and number of tokens of this rank's micro-batches, [n, 2]; None on any stage of a
            pipeline but the last, which computes the losses.
        device: device for the communication.
    """
    found: list[MicroBatch] | None = None
    if own is not None:
        group = parallel_state.get_data_parallel_group(with_context_parallel=True)
        ranks = distributed.get_process_group_ranks(group)
        gathered = [torch.empty_like(own) for _ in ranks]
        distributed.all_gather(gathered, own, group=group)
        count = parallel_state.get_context_parallel_world_size()
        sums = [part.tolist() for part in gathered]
        found = [
            _micro_batch(ranks[first : first + count], first // count, number, shares)
            for first in range(0, len(ranks), count)
            for number, shares in enumerate(zip(*sums[first : first + count], strict=True))
        ]
    if parallel_state.get_pipeline_model_parallel_world_size() > 1:
        held = [found]
        last, group = (
            parallel_state.get_pipeline_model_parallel_last_rank(),
            parallel_state.get_pipeline_model_parallel_group(),
        )
        distributed.broadcast_object_list(held, src=last, group=group, device=device)
        found = held[0]
    assert found is not None
    return found


def _micro_batch(ranks: list[int], replica: int, number: int, shares: Sequence[Sequence[float]]) -> MicroBatch:
    """Return a micro-batch from the sums of losses and numbers of tokens of the ranks that share its positions."""
    totals, counts = zip(*shares, strict=True)
    bad = [rank for rank, total in zip(ranks, totals, strict=True) if not math.isfinite(total)]
    return MicroBatch((bad or ranks)[0], replica, number, sum(totals) / sum(counts))
