"""Attention by cuDNN, as far as it can be checked without a GPU: its shapes, and when it is used.

``benchmarks/training_speed.md`` has measurements on a GPU.
"""

import pytest
import torch

from tapeout.nemo import cudnn_attention

pytestmark = pytest.mark.environment("nemo")


def test_values_and_gradients_have_the_shapes_of_megatron() -> None:
    query, key, value = (
        torch.empty(2, heads, 16, 8, dtype=torch.bfloat16, device="meta", requires_grad=True) for heads in (4, 2, 2)
    )
    mixed = cudnn_attention.attend(query, key, value, 0.5, deterministic=True)
    assert mixed.shape == query.shape and mixed.permute(2, 0, 1, 3).is_contiguous()
    gradients = torch.autograd.grad(mixed.sum(), [query, key, value])
    assert [part.shape for part in gradients] == [part.shape for part in (query, key, value)]


@pytest.mark.parametrize(
    ("shape", "dtype", "deterministic", "expected"),
    [
        ((8, 32, 2048, 64), torch.bfloat16, True, True),
        ((8, 32, 2048, 64), torch.float32, True, False),
        ((8, 32, 2048, 60), torch.bfloat16, True, False),
        ((8, 32, 2048, 256), torch.bfloat16, True, False),
        ((1, 32, 65_536, 64), torch.bfloat16, True, False),  # 256 GiB of scratch
        ((1, 32, 65_536, 64), torch.bfloat16, False, True),
    ],
)
def test_other_kernels_take_what_cudnn_cannot(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    deterministic: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query = torch.empty(shape, dtype=dtype, device="meta")
    assert not cudnn_attention.suits(query, deterministic), "the package is not in this environment"
    monkeypatch.setattr(cudnn_attention, "AVAILABLE", True)
    assert cudnn_attention.suits(query, deterministic) == expected
