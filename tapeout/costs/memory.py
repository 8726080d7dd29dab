"""Memory of a training run on each GPU, by term.

Each term states its formula and source. The forecast is the peak of the rank that needs the most: while the logits
exist, or in the backward pass of the last layer. docs/cost.md compares forecasts with measured peaks.
"""

from dataclasses import dataclass

from tapeout.config.base import Architecture
from tapeout.config.training import Training
from tapeout.models.activations import gradient_scratch
from tapeout.models.decoder import Architecture as Decoder

ROWS_PER_BLOCK = 16_384
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
        parts: tensor-parallel ranks, pipeline stages, ranks that share a sequence, and replicas of the model.
        checkpoint: bytes of a checkpoint from which the training resumes.
    """

    terms: dict[str, int]
    devices: int
    nodes: int
    parts: tuple[int, int, int, int]
    checkpoint: int

    @property
    def total(self) -> int:
        """Sum of the terms."""
        return sum(self.terms.values())


def weight_bytes(parameters: int, precision: str) -> int:
    """Return the bytes of weights: 16 bits each, or 32 with precision "32" (ZeRO, arXiv 1910.02054, section 3.1)."""
    return parameters * (4 if precision == "32" else 2)


def gradient_bytes(parameters: int) -> int:
    """Return the bytes of 32-bit gradients, which Megatron sums over all micro-batches on every replica."""
    return parameters * 4


def optimizer_bytes(parameters: int, precision: str) -> int:
    """Return the bytes of Adam's two moments, and of 32-bit copies of 16-bit weights: 12 or 8 for each weight.

    Every replica keeps all of it (ZeRO, arXiv 1910.02054, section 3.1, K = 12), or its part with a distributed
    optimizer.
    """
    return parameters * (8 if precision == "32" else 12)


def output_bytes(rows: int, hidden: int, tokens: int, tensor: int, precision: str) -> int:
    """Return the bytes of the output layer and its loss (``tapeout.nemo.loss``).

    Logits of a block of tokens and, in 16 bits, their gradient beside them; the output layer of all ranks, gathered,
    with the 32-bit sum and the narrow copy of its gradient; the last hidden states, their 32-bit copy, and their
    gradient.
    """
    narrow = 0 if precision == "32" else 2
    item = narrow or 4
    logits = min(ROWS_PER_BLOCK, tokens) * rows * 4
    gathered = rows * hidden * item if tensor > 1 else 0
    return logits + gathered + rows * hidden * (4 + narrow) + tokens * hidden * (2 * item + 4)


def layer_backward_bytes(hidden: int, ffn: int, tokens: int, tensor: int, precision: str) -> int:
    """Return the bytes of the gradients inside one layer during its backward pass."""
    return tokens * (4 if precision == "32" else 2) * (2 * hidden + 3 * ffn // tensor)


def gathered_bytes(attention: int, tokens: int, tensor: int, precision: str) -> int:
    """Return the bytes of one layer's gathered keys and values, and of their gradients from both chunks.

    Args:
        attention: width of all query heads together, to which keys and values are expanded.
        tokens: tokens of a micro-batch on all ranks that share its sequences.
        tensor: GPUs that share the heads.
        precision: precision of the training.
    """
    return 6 * tokens * (4 if precision == "32" else 2) * attention // tensor


def training_memory(architecture: Architecture, rows: int, job: Training) -> Memory | None:
    """Return the memory of a training run on each GPU; None on CPUs, or if the family does not state its activations.

    Args:
        architecture: the model.
        rows: rows of its embedding.
        job: the training run.
    """
    if job.layout.accelerator != "gpu" or not isinstance(architecture, Decoder):
        return None
    layout, precision = job.layout, job.precision
    stages = architecture.stage_parameters(rows, layout.pipeline_model_parallel_size)
    # the first stage has the most micro-batches under way, the last one has the logits
    terms = max(
        (_terms(architecture, rows, job, stage, stages[stage]) for stage in {0, len(stages) - 1}),
        key=lambda terms: sum(terms.values()),
    )
    parameters = sum(stages)
    # with a distributed optimizer, narrow weights follow from the optimizer's
    narrow = layout.distributed_optimizer and precision != "32"
    checkpoint = optimizer_bytes(parameters, precision) + (0 if narrow else weight_bytes(parameters, precision))
    sizes = layout.tensor_model_parallel_size, layout.pipeline_model_parallel_size, layout.context_parallel_size
    return Memory(terms, layout.devices, layout.num_nodes, (*sizes, layout.replicas), checkpoint)


def _terms(architecture: Decoder, rows: int, job: Training, stage: int, parameters: int) -> dict[str, int]:
    """Return the terms of the ranks of one pipeline stage, which has ``parameters`` weights."""
    layout, precision = job.layout, job.precision
    tensor, stages = layout.tensor_model_parallel_size, layout.pipeline_model_parallel_size
    hidden, ffn = architecture.hidden_size, architecture.ffn_hidden_size
    whole, item = job.micro_batch_size * job.seq_length, 4 if precision == "32" else 2
    tokens, width = whole // layout.context_parallel_size, architecture.num_attention_heads * architecture.kv_channels
    scratch = gathered_bytes(width, whole, tensor, precision) if layout.context_parallel_size > 1 else 0
    layer = architecture.activations(tokens, job)
    if item == 2 and job.deterministic and not job.PACKED and layout.context_parallel_size == 1:
        heads = architecture.num_attention_heads // tensor
        scratch = gradient_scratch(tokens, job.seq_length, heads, architecture.kv_channels) or 0
    # one forward, one backward: a stage has begun as many micro-batches as there are stages from it to the last one
    under_way = min(stages - stage, job.global_batch_size // (job.micro_batch_size * layout.replicas))
    last = stage == stages - 1
    own = parameters // tensor
    backward = layer_backward_bytes(hidden, ffn, tokens, tensor, precision) + scratch
    # the logits are gone when the backward pass of the layers begins
    logits = max(0, output_bytes(rows, hidden, tokens, tensor, precision) - backward) if last else 0
    layers = architecture.num_layers // stages
    # two 8-bit forms of each weight (tapeout.nemo.float8.RoundedWeights)
    rounded = 2 * layers * architecture.layer_parameters() if precision == "fp8" else 0
    return {
        "weights": weight_bytes(own, precision) + rounded,
        "gradients": gradient_bytes(own),
        "optimizer": optimizer_bytes(own, precision) // (layout.copies if layout.distributed_optimizer else 1),
        "activations": under_way * layers * layer.kept + layer.again,
        "logits": logits,
        "workspace": backward + CONTEXT,
    }
