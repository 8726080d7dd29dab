"""Losses of the micro-batches of a step, from all ranks."""

from dataclasses import dataclass

import torch
from megatron.core import parallel_state
from torch import Tensor, distributed


@dataclass(frozen=True)
class MicroBatch:
    """Loss of one micro-batch.

    Attributes:
        rank: the rank that computed it; of those that share its matrices, one.
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
        group = parallel_state.get_data_parallel_group()
        ranks = distributed.get_process_group_ranks(group)
        gathered = [torch.empty_like(own) for _ in ranks]
        distributed.all_gather(gathered, own, group=group)
        found = [
            MicroBatch(rank, replica, number, total / count)
            for replica, (rank, sums) in enumerate(zip(ranks, gathered, strict=True))
            for number, (total, count) in enumerate(sums.tolist())
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
