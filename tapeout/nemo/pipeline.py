"""Stages of a pipeline: what only the last one computes, for all of them.

Without pipeline parallelism a model is its own first and last stage, and nothing is communicated.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func
from torch import Tensor, distributed

Batch = dict[str, Tensor]


def from_last_stage(values: Sequence[float], device: torch.device) -> list[float]:
    """Return the values of this pipeline's last stage; every stage calls this."""
    if parallel_state.get_pipeline_model_parallel_world_size() == 1:
        return list(values)
    held = torch.tensor(values, dtype=torch.float64, device=device)
    last = parallel_state.get_pipeline_model_parallel_last_rank()
    distributed.broadcast(held, src=last, group=parallel_state.get_pipeline_model_parallel_group())
    found: list[float] = held.tolist()
    return found


def sum_over_stages(count: int, device: torch.device) -> int:
    """Return the sum of a count over all stages of this pipeline."""
    if parallel_state.get_pipeline_model_parallel_world_size() == 1:
        return count
    held = torch.tensor(count, dtype=torch.int64, device=device)
    distributed.all_reduce(held, group=parallel_state.get_pipeline_model_parallel_group())
    return int(held)


def forward_outputs(step: Callable[[Any, Batch], Tensor], model: Any, batches: Iterable[Batch]) -> Iterator[Tensor]:
    """Yield what the last stage returns for each micro-batch, on the last stage alone; every stage reads all of it.

    Args:
        step: forward step, which returns hidden states on any stage but the last.
        model: NeMo's model, or the stage of it that this rank has.
        batches: micro-batches, of any number of sequences, on the device of this rank.
    """
    if parallel_state.get_pipeline_model_parallel_world_size() == 1:
        yield from (step(model, batch) for batch in batches)
        return
    for batch in batches:  # one after another, because Megatron's schedule needs micro-batches of one size
        yield from get_forward_backward_func()(
            forward_step_func=_forward(step),
            data_iterator=iter([batch]),
            model=model,
            num_microbatches=1,
            seq_length=batch["tokens"].size(1) * parallel_state.get_context_parallel_world_size(),
            micro_batch_size=batch["tokens"].size(0),
            forward_only=True,
        )


def _forward(step: Callable[[Any, Batch], Tensor]) -> Callable[[Iterator[Batch], Any], Any]:
    """Return a forward step for Megatron's schedules."""

    def forward(batches: Iterator[Batch], model: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
        return step(model, next(batches)), lambda output: (output, torch.ones((), dtype=torch.int), output.detach())

    return forward
