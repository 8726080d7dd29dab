"""Replacements of Megatron's functions for a GPU do the same as what they replace."""

import pytest
import torch

from tapeout.nemo.gradient_sums import add, scale
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


def test_gradients_are_added_and_scaled_in_the_type_of_their_sum() -> None:
    total, part = torch.randn(1000), torch.randn(1000).bfloat16()
    for factor in (0.25, torch.tensor(1 / 3), torch.tensor([1 / 3])):
        found, expected = total.clone(), (total + part.float()) * factor
        add(found, part)
        scale(found, factor)
        assert torch.equal(found, expected)
