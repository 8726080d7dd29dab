"""The fused loss against PyTorch's own."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from tapeout.models.loss import ROWS_PER_BLOCK, LinearCrossEntropy

pytestmark = pytest.mark.environment("nemo")


def test_loss_and_gradients_are_those_of_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = ROWS_PER_BLOCK + 37
    hidden = torch.randn(rows, 16, generator=generator, requires_grad=True)
    weight = torch.randn(50, 16, generator=generator, requires_grad=True)
    bias = torch.randn(50, generator=generator)
    targets = torch.randint(0, 50, (rows,), generator=generator)

    expected = cross_entropy(linear(hidden, weight, bias), targets)
    expected_gradients = torch.autograd.grad(3 * expected, [hidden, weight])
    loss = LinearCrossEntropy.apply(hidden, weight, bias, targets)
    gradients = torch.autograd.grad(3 * loss, [hidden, weight])

    torch.testing.assert_close(loss, expected)
    for one, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_target_of_probability_zero_has_a_finite_loss() -> None:
    hidden, weight = torch.tensor([[1000.0]]), torch.tensor([[1.0], [-1.0]])
    assert LinearCrossEntropy.apply(hidden, weight, torch.zeros(2), torch.tensor([1])).isfinite()
