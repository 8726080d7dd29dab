"""Nucleus sampling whose random numbers depend on the prompt and the number of the sample alone."""

import random
from collections.abc import Sequence

import torch


class NucleusSampling:
    """Chooses tokens by temperature and top-p (Holtzman et al. 2020).

    Each row draws from its own generator, so that an answer depends neither on the other rows of a batch nor on their
    order, except for the last bits of float sums.

    Args:
        seeds: seed of each row.
        temperature: divisor of the logits.
        top_p: probability of the smallest set of likeliest tokens that are chosen from.
    """

    def __init__(self, seeds: Sequence[str], temperature: float, top_p: float) -> None:
        self._generators = [random.Random(seed) for seed in seeds]
        self._temperature, self._top_p = temperature, top_p

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Return the next token of each row."""
        ranked = (logits.float() / self._temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
        probabilities = ranked.values.cpu()  # a GPU has no deterministic cumulative sum
        before = probabilities.cumsum(-1) - probabilities
        kept = probabilities.where(before < self._top_p, torch.zeros(())).cumsum(-1)
        drawn = torch.tensor([self._generators[row].random() for row in rows])[:, None] * kept[:, -1:]
        ranks = (kept <= drawn).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
        return ranked.indices.gather(-1, ranks.to(logits.device))[:, 0]
