"""Condition of every step that answers or judges a problem set."""

from collections.abc import Mapping

from tapeout.data.errors import NotEnoughData


def require_usable(unusable: Mapping[str, str]) -> None:
    """Check that answers can be judged by at least one problem.

    Args:
        unusable: for each problem the reason why none can be judged by it; empty if it is usable.

    Raises:
        NotEnoughData: no problem is usable.
    """
    if all(unusable.values()):
        first = next(iter(unusable.values()), "the set is empty.")
        raise NotEnoughData(
            f"None of the {len(unusable)} problems is usable; the first: {first}",
            "Correct the set, or leave it out of evaluation.problems.",
        )
