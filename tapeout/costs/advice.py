"""Advice for a training run that does not fit on its GPUs: the cheapest change that fits by the memory forecast."""

from collections.abc import Iterator
from itertools import product
from math import log2
from operator import attrgetter

from tapeout.config.base import Architecture
from tapeout.config.consistency import PARALLEL
from tapeout.config.training import Training
from tapeout.costs.memory import GIB, Memory, training_memory

COSTS = {
    "layout.distributed_optimizer": 1.0,
    "layout.sequence_parallel": 1.0,
    "micro_batch_size": 1.5,
    "layout.tensor_model_parallel_size": 3.0,
    "layout.recompute": 2.5,
    "layout.pipeline_model_parallel_size": 4.0,
    "layout.context_parallel_size": 3.5,
}
"""Relative cost in speed of each change, without a unit; the changes with the lowest sum that fit are advised.

Numbers count for each factor of two; ``recompute: full`` counts twice.
"""


def advice(architecture: Architecture, rows: int, job: Training, *, limit: float, section: str) -> str:
    """Return what to change in a training run that needs more than ``limit`` bytes, a sentence or two."""
    memories = {}
    for changed in _alternatives(architecture, rows, job):
        memory = training_memory(architecture, rows, changed)
        assert memory is not None, "the original has one"
        if memory.total <= limit:
            return f"Set {_difference(job, changed, section)}: {memory.total / GIB:.0f} GiB."
        memories[memory.total] = changed, memory
    changed, smallest = memories[min(memories)]
    return _refusal(job, changed, smallest, section)


def _refusal(job: Training, changed: Training, smallest: Memory, section: str) -> str:
    term = max(smallest.terms, key=lambda name: smallest.terms[name])
    setting = f" with {_difference(job, changed, section)}" if changed != job else ""
    reason = {
        "optimizer": "divided by all GPUs or, without replicas, by those that share the model",
        "activations": f"which grow with {section}.seq_length",
        "logits": "which grow with the vocabulary",
        "workspace": f"which grows with {section}.seq_length and the widths of the model",
    }.get(term, "which only more GPUs for each replica divide")
    return (
        f"No layout of these GPUs fits: the least is {smallest.total / GIB:.0f} GiB{setting}, of which {term} "
        f"{smallest.terms[term] / GIB:.0f} GiB, {reason}. Use more nodes, GPUs with more memory, or a smaller model."
    )


def _alternatives(architecture: Architecture, rows: int, job: Training) -> list[Training]:
    """Return this training run and all valid ones with less memory on each GPU, those that cost the least first."""
    return sorted(_changed(architecture, rows, job), key=lambda changed: _cost(job, changed))


def _changed(architecture: Architecture, rows: int, job: Training) -> Iterator[Training]:
    layout, sizes = job.layout, [rows, *(int(getattr(architecture, name)) for name in PARALLEL)]
    layers = int(getattr(architecture, "num_layers"))  # noqa: B009
    tensors = [
        parts
        for parts in range(layout.tensor_model_parallel_size, layout.devices + 1)
        if not layout.devices % parts and not any(size % parts for size in sizes)
    ]
    stages = [parts for parts in range(layout.pipeline_model_parallel_size, layers + 1) if not layers % parts]
    steps: tuple[str, ...] = ("none", "selective", "full")
    recomputed = steps[steps.index(layout.recompute) :]
    flags = [(True,) if flag else (False, True) for flag in (layout.sequence_parallel, layout.distributed_optimizer)]
    micro = [size for size in range(1, job.micro_batch_size + 1) if not job.micro_batch_size % size]
    for tensor, stage, context, size in product(tensors, stages, _contexts(architecture, job), micro):
        replicas, left = divmod(layout.world_size, tensor * stage * context)
        if left or not replicas or job.global_batch_size % (size * replicas):
            continue
        for sequence, divided, recompute in product(*flags, recomputed):
            if (sequence and (tensor == 1 or job.seq_length // context % tensor)) or (
                divided and replicas * context == 1
            ):
                continue
            update = {
                "tensor_model_parallel_size": tensor,
                "pipeline_model_parallel_size": stage,
                "context_parallel_size": context,
                "sequence_parallel": sequence,
                "distributed_optimizer": divided,
                "recompute": recompute,
            }
            yield job.model_copy(update={"micro_batch_size": size, "layout": layout.model_copy(update=update)})


def _contexts(architecture: Architecture, job: Training) -> list[int]:
    """Return numbers of ranks that may share a sequence: the present one, and its doublings that divide sequences."""
    found = [job.layout.context_parallel_size]
    while 2 * found[-1] <= job.layout.world_size:
        found.append(2 * found[-1])
    lengths = job.seq_length, architecture.seq_length
    return found[:1] + [parts for parts in found[1:] if not any(length % (2 * parts) for length in lengths)]


def _options(job: Training) -> dict[str, int | bool | str]:
    """Return the options that the advice may change."""
    return {name: attrgetter(name)(job) for name in COSTS}


def _cost(job: Training, changed: Training) -> float:
    total, before = 0.0, _options(job)
    for name, value in _options(changed).items():
        if value != before[name]:
            numbers = [number for number in (value, before[name]) if type(number) is int]
            factor = abs(log2(numbers[0] / numbers[1])) if numbers else 2.0 if value == "full" else 1.0
            total += COSTS[name] * factor
    return total


def _difference(job: Training, changed: Training, section: str) -> str:
    before = _options(job)
    keys = [
        f"{section}.{name} {str(value).lower()}" for name, value in _options(changed).items() if value != before[name]
    ]
    return " and ".join(keys)
