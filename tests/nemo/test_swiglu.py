"""The gradient of SwiGLU is Megatron's."""

import pytest
import torch

from tapeout.nemo.swiglu import swiglu_gradient

pytestmark = pytest.mark.environment("nemo")


def test_the_gradient_of_swiglu_is_that_of_megatron() -> None:
    from megatron.core.fusions.fused_bias_swiglu import swiglu_back

    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(3, 2, 8, generator=generator, dtype=torch.float64)
    inputs = torch.randn(3, 2, 16, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(swiglu_gradient(gradient, inputs), swiglu_back(gradient, inputs), rtol=0, atol=1e-14)
