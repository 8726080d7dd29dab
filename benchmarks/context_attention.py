"""Check the attention of each rank of a context-parallel group on one GPU, against a plain mask.

Run ``python -m benchmarks.context_attention``, in an environment with Megatron-core and a CUDA build of PyTorch; it
takes seconds. The chunks of all ranks together must give the values and gradients of one rank, within the rounding of
bfloat16, and the same bits in two runs with deterministic kernels.
"""

import itertools
import json
import random

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tapeout.nemo.attention import row_mask, rows_on_gpu
from tapeout.nemo.context import boundaries_of, chunks

BATCH, HEADS, SIZE, TOLERANCE = 2, 4, 64, 0.03


def pieces(inputs: list[Tensor], boundaries: Tensor, parts: int) -> Tensor:
    """Attend with every chunk of every rank; inputs are query, key and value, all tensors [b, s, heads, size]."""
    query, key, value = inputs
    length = query.size(1)
    k, v = (part.flatten(0, 1) for part in (key, value))
    found = {}
    for chunk in itertools.chain(*(chunks(length, rank, parts) for rank in range(parts))):
        q = query[:, chunk.start : chunk.stop].flatten(0, 1)
        ends = boundaries_of(chunk, boundaries, BATCH, length)
        found[chunk.start] = rows_on_gpu(q, k, v, *ends, len(chunk), length).unflatten(0, (BATCH, -1))
    return torch.cat([found[start] for start in sorted(found)], 1)


def gradients(mixed: Tensor, weights: Tensor, parts: list[Tensor]) -> list[Tensor]:
    """Return the values and the gradients of a weighted sum."""
    return [mixed.detach(), *torch.autograd.grad((mixed.float() * weights).sum(), parts)]


def check(length: int, parts: int, rows: int) -> tuple[dict[str, float], bool]:
    """Compare the chunks of ``parts`` ranks with a mask, for sequences with ``rows`` packed rows each.

    Returns:
        the figures, and whether they pass.
    """
    torch.manual_seed(1)
    draw = random.Random(rows)
    cuts = [length * b + cut for b in range(BATCH) for cut in [0, *sorted(draw.sample(range(1, length), rows - 1))]]
    boundaries = torch.tensor([*cuts, BATCH * length], dtype=torch.int32, device="cuda")
    shape = (BATCH, length, HEADS, SIZE)
    inputs = [torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    weights = torch.randn(shape, device="cuda")
    found = [gradients(pieces(inputs, boundaries, parts), weights, inputs) for _ in range(2)]
    wide = [part.detach().float().requires_grad_() for part in inputs]
    q, k, v = (part.transpose(1, 2) for part in wide)
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=row_mask(boundaries, BATCH, length)).transpose(1, 2)
    expected = gradients(mixed, weights, wide)
    worst = max(float((a.float() - b).abs().max() / b.abs().max()) for a, b in zip(found[0], expected, strict=True))
    same = all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    figures = {"length": length, "parts": parts, "rows": rows, "largest relative difference": worst, "same bits": same}
    return figures, same and worst < TOLERANCE


def main() -> None:
    """Print each case as JSON; exit with status 1 if one differs."""
    torch.use_deterministic_algorithms(True)
    results = [check(*case) for case in itertools.product((256, 1000, 4096), (1, 2, 4), (1, 7, 100))]
    for figures, _ in results:
        print(json.dumps(figures))
    if not all(good for _, good in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
