"""The optimized loss and its gradients are those of PyTorch's cross-entropy."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from tapeout.nemo.loss import split_vocabulary, summed_loss

pytestmark = pytest.mark.environment("nemo")

TOKENS, BATCH, WIDTH, VOCABULARY = 150, 3, 16, 700


def inputs(equal: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(TOKENS, BATCH, WIDTH, generator=generator)
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator)
    weight[VOCABULARY - equal :] = weight[0]
    labels = torch.randint(1, VOCABULARY - equal, (BATCH, TOKENS), generator=generator)
    mask = (torch.rand(BATCH, TOKENS, generator=generator) < 0.6).to(torch.uint8)
    return hidden, weight, labels, mask


def ours(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    chosen = mask.flatten().nonzero()[:, 0]
    return summed_loss(hidden, weight, split_vocabulary(weight, [labels.numpy()]), labels, chosen)


def exact(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    logits = hidden.transpose(0, 1) @ weight.T
    return (cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none") * mask.flatten()).sum()


def compare(equal: int) -> int:
    hidden, weight, labels, mask = inputs(equal)
    results = []
    vocabulary = split_vocabulary(weight, [labels.numpy()])
    for function in (exact, ours):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        loss = function(h, w, labels, mask)
        (loss * 0.5).backward()
        results.append((loss.detach(), h.grad, w.grad))
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    return len(vocabulary.shared)


def test_without_equal_rows() -> None:
    assert compare(equal=0) == 0


def test_equal_rows_share_a_logit() -> None:
    assert compare(equal=200) == 201  # the 200 last ones, and row 0 that they equal


def test_targets_never_share() -> None:
    _, weight, labels, _ = inputs(200)
    labels[0, 0] = VOCABULARY - 1
    vocabulary = split_vocabulary(weight, [labels.numpy()])
    assert VOCABULARY - 1 in vocabulary.own
    assert len(vocabulary.shared) == 200


def test_shared_rows_stay_equal_in_training() -> None:
    hidden, weight, labels, mask = inputs(200)
    weight.requires_grad_()
    vocabulary = split_vocabulary(weight, [labels.numpy()])
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        summed_loss(hidden, weight, vocabulary, labels, mask.flatten().nonzero()[:, 0]).backward()
        optimizer.step()
    rows = weight.detach()[vocabulary.shared]
    assert torch.equal(rows, rows[:1].expand_as(rows))
    assert not torch.equal(rows[0], inputs(200)[1][0])


def test_no_gradients_when_none_are_wanted() -> None:
    hidden, weight, labels, mask = inputs()
    with torch.no_grad():
        loss = ours(hidden, weight, labels, mask)
    torch.testing.assert_close(loss, exact(hidden, weight, labels, mask), rtol=1e-5, atol=1e-3)


def test_bfloat16_rounds_only_the_products() -> None:
    """Megatron gives hidden states of 32 bits to a weight of 16."""
    hidden, weight, labels, mask = inputs(200)
    narrow, wide = weight.bfloat16().requires_grad_(), weight.bfloat16().float().requires_grad_()
    rounded = hidden.bfloat16().float()
    loss = ours(rounded, narrow, labels, mask)
    wanted = exact(rounded, wide, labels, mask)
    assert loss.dtype == torch.float32 and narrow.grad is None
    torch.testing.assert_close(loss, wanted, rtol=2e-3, atol=0)
    loss.backward()
    wanted.backward()
    assert narrow.grad is not None and narrow.grad.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.grad.float(), wide.grad, rtol=0.05, atol=0.1)
