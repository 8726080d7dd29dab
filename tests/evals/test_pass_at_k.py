"""The estimate of pass@k against the enumeration of all choices."""

from itertools import combinations

from tapeout.evals.pass_at_k import pass_at_k


def test_it_is_the_mean_over_all_choices_of_k_samples() -> None:
    for samples in range(1, 8):
        for passed in range(samples + 1):
            outcomes = [number < passed for number in range(samples)]
            for k in range(1, samples + 1):
                choices = [any(choice) for choice in combinations(outcomes, k)]
                assert abs(pass_at_k(samples, passed, k) - sum(choices) / len(choices)) < 1e-12
