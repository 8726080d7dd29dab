"""Nucleus sampling: its distribution, and that a row depends on its own seed alone."""

from collections import Counter

import pytest
import torch

from tapeout.evals.sampling import NucleusSampling

pytestmark = pytest.mark.environment("nemo")
LOGITS = torch.tensor([0.1, 2.0, 1.0, -3.0]).log_softmax(-1)


def test_tokens_have_the_probabilities_of_the_nucleus() -> None:
    count = 4_000
    choose = NucleusSampling([f"seed {number}" for number in range(count)], temperature=1.0, top_p=0.85)
    found = Counter(choose(LOGITS.expand(count, -1), range(count)).tolist())
    first, second = LOGITS.exp()[1].item(), LOGITS.exp()[2].item()
    assert set(found) == {1, 2}  # the two likeliest have 0.88
    assert abs(found[1] / count - first / (first + second)) < 0.03


def test_a_row_does_not_depend_on_the_others() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    together = NucleusSampling(["a", "b", "c"], 0.8, 0.95)
    first = [together(logits, [0, 1, 2]).tolist() for _ in range(3)]
    alone = NucleusSampling(["a", "b", "c"], 0.8, 0.95)
    assert [alone(logits[1:2], [1]).item() for _ in range(3)] == [row[1] for row in first]


def test_a_small_nucleus_and_a_low_temperature_are_greedy() -> None:
    assert NucleusSampling(["a"], 1.0, 1e-6)(LOGITS[None], [0]).tolist() == [1]
    assert NucleusSampling(["a"], 1e-3, 1.0)(LOGITS[None], [0]).tolist() == [1]
