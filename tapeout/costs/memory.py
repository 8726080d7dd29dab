"""Memory of a training run on each GPU, by term, and what to change where it does not fit.

Each term states its formula and source. The forecast is that of the peak, at the end of the last layer's forward pass;
docs/cost.md compares it with a measured one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tapeout.config.base import Architecture
from tapeout.config.consistency import PARALLEL
from tapeout.config.training import Training

ROWS_PER_BLOCK = 4096
"""Tokens whose logits exist at the same time (``tapeout.nemo.loss``)."""
CONTEXT = 1_500_000_000
"""Bytes of the CUDA context, of NCCL's and cuBLAS's buffers, and of fragmentation: an assumption."""
GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU.

    Attributes:
        terms: bytes by the name of the term, in the order of the table.
        devices: GPUs of each node.
        nodes: nodes.
        checkpoint: bytes of a checkpoint from which the training resumes.
    """

    terms: dict[str, int]
    devices: int
    nodes: int
    checkpoint: int

    @property
    def total(self) -> int:
        """Sum of the terms."""
        return sum(self.terms.values())


def weight_bytes(parameters: int, tensor: int, precision: str) -> int:
    """Return N / t numbers of 16 bits, or of 32 with precision "32" (ZeRO, arXiv 1910.02054, section 3.1)."""
    return parameters * (4 if precision == "32" else 2) // tensor


def gradient_bytes(parameters: int, tensor: int) -> int:
    """Return N / t numbers of 32 bits, in which Megatron sums the gradients of all micro-batches."""
    return parameters * 4 // tensor


def optimizer_bytes(parameters: int, tensor: int, precision: str) -> int:
    """Return Adam's two moments, and the 32-bit weights beside 16-bit ones: 12 or 8 bytes for each of N / t weights.

    Every replica keeps all of it (ZeRO, arXiv 1910.02054, section 3.1, K = 12), because the training here has no
    distributed optimizer.
    """
    return parameters * (8 if precision == "32" else 12) // tensor


def output_bytes(rows: int, hidden: int, tokens: int, tensor: int, precision: str) -> int:
    """Return the bytes of the output layer and its loss (``tapeout.nemo.loss``).

    Logits of a block of tokens in 32 bits and their narrow copy; the output layer of all ranks, gathered, with the
    32-bit sum and the narrow copy of its gradient; the last hidden states, their 32-bit copy, and their gradient.
    """
    narrow = 0 if precision == "32" else 2
    item = narrow or 4
    logits = min(ROWS_PER_BLOCK, tokens) * rows * (4 + narrow)
    gathered = rows * hidden * item if tensor > 1 else 0
    return logits + gathered + rows * hidden * (4 + narrow) + tokens * hidden * (2 * item + 4)


def workspace_bytes(hidden: int, ffn: int, tokens: int, tensor: int, precision: str) -> int:
    """Return the gradients inside one layer during its backward pass, and ``CONTEXT``."""
    return tokens * (4 if precision == "32" else 2) * (2 * hidden + 3 * ffn // tensor) + CONTEXT


def training_memory(architecture: Architecture, rows: int, job: Training, *, masked: bool) -> Memory | None:
    """Return the memory of a training run on each GPU; None on CPUs, or if the family does not state its activations.

    Args:
        architecture: the model.
        rows: rows of its embedding.
        job: the training run.
        masked: whether its attention follows a mask, as that of packed rows does.
    """
    tensor, precision = job.layout.tensor_model_parallel_size, job.precision
    tokens = job.micro_batch_size * job.seq_length
    item = 4 if precision == "32" else 2
    activations = architecture.activation_bytes(tokens, job.seq_length, tensor, item, masked)
    if job.layout.accelerator != "gpu" or activations is None:
        return None
    count = architecture.parameter_count(rows)
    hidden, ffn = _width(architecture, "hidden_size"), _width(architecture, "ffn_hidden_size")
    terms = {
        "weights": weight_bytes(count, tensor, precision),
        "gradients": gradient_bytes(count, tensor),
        "optimizer": optimizer_bytes(count, tensor, precision),
        "activations": activations,
        "logits": output_bytes(rows, hidden, tokens, tensor, precision),
        "workspace": workspace_bytes(hidden, ffn, tokens, tensor, precision),
    }
    checkpoint = (terms["weights"] + terms["optimizer"]) * tensor
    return Memory(terms, job.layout.devices, job.layout.num_nodes, checkpoint)


def advice(architecture: Architecture, rows: int, job: Training, *, masked: bool, limit: float, section: str) -> str:
    """Return what to change in a training run that needs more than ``limit`` bytes, a sentence or two.

    Every change is tried, from the smallest: fewer sequences at once, then more GPUs that share each matrix.
    """
    changed: Training | None = None
    for changed in _alternatives(architecture, rows, job):
        memory = training_memory(architecture, rows, changed, masked=masked)
        if memory is not None and memory.total <= limit:
            return f"Set {_difference(job, changed, section)}: {memory.total / GIB:.0f} GiB."
    smallest = training_memory(architecture, rows, changed or job, masked=masked)
    assert smallest is not None, "the original has one"
    term = max(smallest.terms, key=lambda name: smallest.terms[name])
    reason = {
        "optimizer": "every replica keeps the whole state",
        "activations": f"they grow with {section}.seq_length; nothing is recomputed",
    }.get(term, "tensor parallelism is all that divides it")
    setting = f" with {_difference(job, changed, section)}" if changed else ""
    return (
        f"No layout fits: the least is {smallest.total / GIB:.0f} GiB{setting}, of which {term} "
        f"{smallest.terms[term] / GIB:.0f} GiB, because {reason}. Use GPUs with more memory, or a smaller model."
    )


def _alternatives(architecture: Architecture, rows: int, job: Training) -> Iterator[Training]:
    """Yield layouts that need less memory: smaller micro-batches, then also more tensor parallelism."""
    layout, sizes = job.layout, [rows, *(_width(architecture, name) for name in PARALLEL)]
    for tensor in range(layout.tensor_model_parallel_size, layout.devices + 1):
        if layout.devices % tensor or any(size % tensor for size in sizes):
            continue
        for micro in range(job.micro_batch_size, 0, -1):
            wider = layout.model_copy(update={"tensor_model_parallel_size": tensor})
            changed = job.model_copy(update={"micro_batch_size": micro, "layout": wider})
            if changed != job and job.global_batch_size % (micro * wider.replicas) == 0:
                yield changed


def _difference(job: Training, changed: Training, section: str) -> str:
    keys = []
    if changed.micro_batch_size != job.micro_batch_size:
        keys.append(f"{section}.micro_batch_size {changed.micro_batch_size}")
    tensor = changed.layout.tensor_model_parallel_size
    if tensor != job.layout.tensor_model_parallel_size:
        keys.append(f"{section}.layout.tensor_model_parallel_size {tensor}")
    return " and ".join(keys)


def _width(architecture: Any, name: str) -> int:
    return int(getattr(architecture, name))
