"""Rotary positions and the gradient of SwiGLU are Megatron's."""

import pytest
import torch

from tapeout.nemo.pointwise import rotate, swiglu_gradient

pytestmark = pytest.mark.environment("nemo")

LENGTH, HEADS, SIZE = 12, 4, 8


@pytest.mark.parametrize("width", [SIZE, SIZE // 2])
def test_a_rotation_and_its_gradient_are_those_of_megatron(width: int) -> None:
    from megatron.core.models.common.embeddings.rope_utils import _apply_rotary_pos_emb_bshd

    generator = torch.Generator().manual_seed(1)
    tensor = torch.randn(LENGTH, 2, HEADS, SIZE, generator=generator, dtype=torch.float64, requires_grad=True)
    half = torch.randn(LENGTH, 1, 1, width // 2, generator=generator, dtype=torch.float64)
    angles = torch.cat([half, half], -1)
    found, wanted = rotate(tensor, angles, 1.5), _apply_rotary_pos_emb_bshd(tensor, angles, mscale=1.5)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)
    weights = torch.randn(found.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((rotated * weights).sum(), tensor)[0] for rotated in (found, wanted)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


def test_the_gradient_of_swiglu_is_that_of_megatron() -> None:
    from megatron.core.fusions.fused_bias_swiglu import swiglu_back

    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(LENGTH, 2, SIZE, generator=generator, dtype=torch.float64)
    inputs = torch.randn(LENGTH, 2, 2 * SIZE, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(swiglu_gradient(gradient, inputs), swiglu_back(gradient, inputs), rtol=0, atol=1e-14)
