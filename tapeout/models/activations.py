"""Bytes that a decoder layer keeps from its forward pass for its backward pass.

The items are those of "Reducing Activation Recomputation in Large Transformer Models" (arXiv 2205.05198, sections 4 and
5), for the layers of the trainings here: no dropout, so no dropout masks; the activation function and its product
with the up projection keep their input only (Megatron's fused SwiGLU); and fused attention, which keeps no matrix of
scores.
"""

from typing import NamedTuple

from tapeout.config.layout import Layout

MAX_SCRATCH = 8 * 2**30
"""Bytes that a gradient of attention may take while it is computed."""


class Activations(NamedTuple):
    """Bytes of one layer for one micro-batch on each GPU.

    Attributes:
        kept: from the forward to the backward pass.
        again: computed again in the backward pass of this layer, and then freed.
    """

    kept: int
    again: int


def layer_activations(
    tokens: int,
    hidden: int,
    attention: int,
    keys: int,
    ffn: int,
    scores: int,
    layout: Layout,
    *,
    item: int = 2,
    float8: bool = False,
    gated: bool = True,
) -> Activations:
    """Return the bytes of one layer.

    The inputs of both norms and of the query and feed-forward projections, 4 h for each token, are kept whole by every
    GPU, or divided by ``t`` with sequence parallelism. Queries, keys, values and the result of the attention (2 a +
    2 k), and the input and the output of the activation function (3 f with a gate, otherwise 2 f) are always divided.
    Of a layer that is computed again only its input is kept, h; of a feed-forward layer its input. With products in 8
    bits the inputs of the two projections are kept in 8 bits, and the activation function is computed again.

    Args:
        tokens: tokens of a micro-batch.
        hidden: width of the residual stream, h.
        attention: width of all query heads together, a.
        keys: width of the keys that are kept, k: that of their groups together, or a if they are expanded.
        ffn: width inside the feed-forward layer, f.
        scores: bytes that the attention keeps of its scores, ``score_bytes``.
        layout: layout of the training: tensor and sequence parallelism, recomputation.
        item: bytes of a number.
        float8: whether products are in 8 bits.
        gated: whether the feed-forward layer has a gate.
    """
    tensor = layout.tensor_model_parallel_size
    whole = tensor if layout.sequence_parallel else 1
    projected, activated = (1, 0) if float8 else (item, item)
    inside = tokens * (item * (2 if gated else 1) + activated) * ffn // tensor
    inputs = tokens * (item + projected) * 2 * hidden // whole
    around = inputs + tokens * item * 2 * (attention + keys) // tensor + scores
    if layout.recompute == "full":
        return Activations(tokens * item * hidden // whole, around + inside)
    return Activations(around, inside) if layout.recompute == "selective" else Activations(around + inside, 0)


def score_bytes(tokens: int, seq_length: int, heads: int, tensor: int = 1, *, item: int = 2) -> int:
    """Return the bytes that one layer keeps of its attention's scores, on each GPU.

    The fused kernels keep the 32-bit log-sum-exp of each row of scores, also for packed rows. With
    numbers of 32 bits PyTorch computes all scores: it keeps the probabilities of every pair of positions, a s² b.

    Args:
        tokens: tokens of a micro-batch, s b.
        seq_length: tokens of a sequence, s.
        heads: attention heads, a.
        tensor: GPUs that share the heads.
        item: bytes of a number, 4 or 2.
    """
    return tokens * heads * 4 * (seq_length if item == 4 else 1) // tensor


def gradient_scratch(tokens: int, seq_length: int, heads: int, size: int) -> int | None:
    """Return the bytes that cuDNN's deterministic gradient of attention takes while it is computed (measured, 9.19).

    It writes one part of the queries' gradient for every ``2 * size`` keys, in 32 bits, and then sums the parts. If
    they would take more than ``MAX_SCRATCH``, other kernels are used, and the result is None.

    Args:
        tokens: tokens of a micro-batch.
        seq_length: tokens of a sequence.
        heads: query heads of this GPU.
        size: width of a head.
    """
    scratch = tokens * heads * (2 * seq_length + 4 * size)
    return scratch if scratch <= MAX_SCRATCH else None
