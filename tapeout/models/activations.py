"""Bytes that a decoder layer keeps from its forward pass for its backward pass.

The items are those of "Reducing Activation Recomputation in Large Transformer Models" (arXiv 2205.05198, section 4.1),
for the layers that the training here has: no dropout, so no dropout masks; the activation function and its product with
the up projection keep their input only (Megatron's fused SwiGLU); and fused attention, which keeps no matrix of scores.
Nothing is recomputed, and no rank keeps only a part of a sequence.
"""


def layer_activation_bytes(
    tokens: int,
    hidden: int,
    attention: int,
    ffn: int,
    tensor: int = 1,
    *,
    item: int = 2,
    gated: bool = True,
) -> int:
    """Return the bytes of one layer without the scores of its attention, on each GPU.

    Kept whole by every GPU: the inputs of both norms and of the query and feed-forward projections, 4 h for each token.
    Divided by ``tensor``: queries, keys and values for all heads, the result of the attention (4 a), and the input and
    the output of the activation function: 3 f with a gate, otherwise 2 f.

    Args:
        tokens: tokens of a micro-batch.
        hidden: width of the residual stream, h.
        attention: width of all query heads together, a; keys and values are expanded to it.
        ffn: width inside the feed-forward layer, f.
        tensor: GPUs that share each matrix.
        item: bytes of a number.
        gated: whether the feed-forward layer has a gate.
    """
    divided = 4 * attention + (3 if gated else 2) * ffn
    return tokens * item * (4 * hidden * tensor + divided) // tensor


def score_bytes(tokens: int, seq_length: int, heads: int, tensor: int = 1, *, masked: bool, item: int = 2) -> int:
    """Return the bytes that one layer keeps of its attention's scores, on each GPU.

    Flash attention keeps the 32-bit log-sum-exp of each row of scores. Packed rows have a mask, with which PyTorch's
    attention computes all scores: it keeps the probabilities of every pair of positions, a s² b numbers of 32 bits.

    Args:
        tokens: tokens of a micro-batch, s b.
        seq_length: tokens of a sequence, s.
        heads: attention heads, a.
        tensor: GPUs that share the heads.
        masked: whether attention follows a mask.
        item: bytes of a number without a mask, 4 or 2: in 32 bits PyTorch has no flash attention and needs no more.
    """
    return tokens * heads * 4 * (seq_length if masked or item == 4 else 1) // tensor
