"""Products in 8 bits have the rounding of their operands, and no other error."""

import pytest
import torch
from torch import nn

from tapeout.nemo.float8 import BACKWARD, FORWARD, RoundedWeights, float8_linear, quantize

pytestmark = pytest.mark.environment("nemo")


def rounded(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a tensor rounded to 8 bits at a scale of its largest value, computed in another way."""
    scale = torch.finfo(dtype).max / tensor.abs().max()
    return (tensor * scale).to(dtype).float() / scale


def test_the_result_and_both_gradients_are_products_of_rounded_operands() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs, weight, above = (
        torch.randn(*shape, generator=generator).bfloat16() for shape in ((4, 8, 64), (48, 64), (4, 8, 48))
    )
    weight[3] = 300.0  # one large value decides the scale of the whole tensor
    inputs.requires_grad_(), weight.requires_grad_()
    result = float8_linear(inputs, weight, None)
    result.backward(above)
    x, w, g = (part.detach().float().flatten(0, -2) for part in (inputs, weight, above))
    x, w, g = rounded(x, FORWARD), rounded(w, FORWARD), rounded(g, BACKWARD)
    assert inputs.grad is not None and weight.grad is not None
    for found, wanted in ((result, x @ w.T), (inputs.grad, g @ w), (weight.grad, g.T @ x)):
        error = (found.float().flatten(0, -2) - wanted).abs().max()
        assert error <= 2**-7 * wanted.abs().max(), error
    exact = inputs.detach().float().flatten(0, -2) @ weight.detach().float().T
    assert not torch.allclose(result.float().flatten(0, -2), exact, rtol=2**-7)  # 8 bits are visible


def test_zeros_stay_zeros() -> None:
    narrow, factor = quantize(torch.zeros(2, 3), FORWARD)
    assert factor == 1 and not narrow.float().any()


class TwoLayers(nn.Module):
    """Two linear layers in 8 bits, named as Megatron's model names its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.ParameterList(torch.randn(16, 16, generator=torch.manual_seed(1)) for _ in range(2))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return float8_linear(float8_linear(inputs, self.decoder[0], None), self.decoder[1], None)


def test_weights_that_are_rounded_once_for_each_step_give_the_same_bytes() -> None:
    kept, fresh = TwoLayers(), TwoLayers()
    optimizers = [torch.optim.SGD(model.parameters(), lr=1.0) for model in (kept, fresh)]
    RoundedWeights(kept, optimizers[:1])
    fresh_losses, kept_losses = [], []
    for _ in range(3):
        inputs = torch.randn(8, 16)
        for model, optimizer, losses in zip((kept, fresh), optimizers, (kept_losses, fresh_losses), strict=True):
            optimizer.zero_grad()
            for _ in range(2):  # micro-batches
                loss = model(inputs).square().mean()
                loss.backward()
                losses.append(loss.item())
            optimizer.step()
    assert kept_losses == fresh_losses
    assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), fresh.parameters(), strict=True))
    assert len(set(kept_losses)) == 3  # each step changed the weights
