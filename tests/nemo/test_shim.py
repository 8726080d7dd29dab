"""Replacements of Megatron's functions for a GPU do the same as what they replace."""

import pytest
import torch

from tapeout.nemo.shim import norm_of_tensors, scale_tensors

pytestmark = pytest.mark.environment("nemo")


def tensors() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in ((3, 5), (7,), (2, 2, 2))]


def test_the_norm_is_that_of_all_numbers() -> None:
    norm, rest = norm_of_tensors(0, None, [tensors()], False)
    assert norm.shape == (1,) and rest is None
    torch.testing.assert_close(norm[0], torch.cat([tensor.flatten() for tensor in tensors()]).norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_are_scaled_into_others_or_themselves(dtype: torch.dtype) -> None:
    source, target = tensors(), [torch.empty_like(tensor, dtype=dtype) for tensor in tensors()]
    scale_tensors(0, None, [source, target], 1.0)
    assert all(torch.equal(left.to(dtype), right) for left, right in zip(tensors(), target, strict=True))
    scale_tensors(0, None, [source, source], 0.25)
    assert all(torch.equal(left * 0.25, right) for left, right in zip(tensors(), source, strict=True))
