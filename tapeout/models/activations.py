"""Bytes that a decoder layer keeps from its forward pass for its backward pass.

The items are those of "Reducing Activation Recomputation in Large Transformer Models" (arXiv 2205.05198, sections 4 and
5), for the layers that the training here has: no dropout, so no dropout masks; the activation function and its product
with the up projection keep their input only (Megatron's fused SwiGLU); and fused attention, which keeps no matrix of
scores.
"""

from typing import NamedTuple

from tapeout.config.layout import Layout


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
    ffn: int,
    scores: int,
    layout: Layout,
    *,
    item: int = 2,
    gated: bool = True,
) -> Activations:
    """Return the bytes of one layer.

    The inputs of both norms and of the query and feed-forward projections, 4 h for each token, are kept whole by every
    GPU, or divided by ``t`` with sequence parallelism. Queries, keys and values for all heads and the result of the
    attention (4 a), and the input and the output of the activation function (3 f with a gate, otherwise 2 f) are always
    divided. Of a layer that is computed again only its input is kept, h; of a feed-forward layer its input.

    Args:
        tokens: tokens of a micro-batch.
        hidden: width of the residual stream, h.
        attention: width of all query heads together, a; keys and values are expanded to it.
        ffn: width inside the feed-forward layer, f.
        scores: bytes that the attention keeps of its scores, ``score_bytes``.
        layout: layout of the training: tensor and sequence parallelism, recomputation.
        item: bytes of a number.
        gated: whether the feed-forward layer has a gate.
    """
    tensor = layout.tensor_model_parallel_size
    whole = tensor if layout.sequence_parallel else 1
    inside = tokens * item * (3 if gated else 2) * ffn // tensor
    around = tokens * item * 4 * hidden // whole + tokens * item * 4 * attention // tensor + scores
    if layout.recompute == "full":
        return Activations(tokens * item * hidden // whole, around + inside)
    return Activations(around, inside) if layout.recompute == "selective" else Activations(around + inside, 0)


def score_bytes(tokens: int, seq_length: int, heads: int, tensor: int = 1, *, item: int = 2) -> int:
    """Return the bytes that one layer keeps of its attention's scores, on each GPU.

    Flash attention and FlexAttention keep the 32-bit log-sum-exp of each row of scores, also for packed rows. With
    numbers of 32 bits PyTorch computes all scores: it keeps the probabilities of every pair of positions, a s² b.

    Args:
        tokens: tokens of a micro-batch, s b.
        seq_length: tokens of a sequence, s.
        heads: attention heads, a.
        tensor: GPUs that share the heads.
        item: bytes of a number, 4 or 2.
    """
    return tokens * heads * 4 * (seq_length if item == 4 else 1) // tensor
