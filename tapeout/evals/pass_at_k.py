"""The unbiased estimate of pass@k."""

from math import comb


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Return the probability that at least one of ``k`` samples passes, drawn from these without replacement.

    It is the unbiased estimate of Chen et al. (2021); the naive ``1 - (1 - passed / samples) ** k`` is too small.
    """
    assert 0 <= passed <= samples and 1 <= k <= samples
    return 1 - comb(samples - passed, k) / comb(samples, k)
