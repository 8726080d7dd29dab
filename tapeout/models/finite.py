"""Stop a training run or an evaluation at the first number that is NaN or infinite."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tapeout.errors import TapeoutError

if TYPE_CHECKING:
    from torch import Tensor

MAX_NAMES = 8
"""Documents or rows that an error names."""


class NonFinite(TapeoutError):
    """A loss, a gradient, a weight or a score is NaN or infinite."""


@dataclass(frozen=True)
class Batch:
    """Documents or rows in the batch of a step.

    Attributes:
        names: their names.
        ranks: processes of the training that computed the number in question; empty for all.
    """

    names: Sequence[str]
    ranks: Sequence[int] = ()


def check_value(name: str, value: float, step: int, batch: Callable[[], Batch]) -> None:
    """Check a number that belongs to a step of a training run.

    Args:
        name: what it is, e.g. "loss".
        value: the number.
        step: number of the step.
        batch: returns the part of the step's batch that it belongs to; called only if the value is not finite.

    Raises:
        NonFinite: it is not finite.
    """
    if not math.isfinite(value):
        found = batch()
        ranks = f" on rank {', '.join(map(str, found.ranks))}" if found.ranks else ""
        raise NonFinite(
            f"The {name} of step {step} is {value}{ranks}; its batch has {first_names(found.names)}.",
            "Lower the learning rates, raise warmup_steps, or correct this text if earlier steps had a low loss.",
        )


def first_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def check_weights(weights: "Iterable[tuple[str, Tensor]]", step: int) -> None:
    """Check the weights of a model after the last step of its training.

    The sum of their squares in 32 bits must be finite: with larger weights the norms of a model overflow, and turn its
    states into zeros, with which the loss is finite.

    Raises:
        NonFinite: names the first tensor for which it is not.
    """
    for name, tensor in weights:
        if not bool(tensor.detach().float().square().sum().isfinite()):
            raise NonFinite(
                f"After step {step}, the last one, the weights {name} are not finite, or too large to be squared.",
                "Lower the learning rates or raise warmup_steps.",
            )


def check_scores(document: Any, where: str) -> None:
    """Check all numbers of a result, which is nested mappings and lists.

    Raises:
        NonFinite: names the first number that is not finite.
    """
    if isinstance(document, Mapping):
        for key, value in document.items():
            check_scores(value, f"{where}.{key}")
    elif isinstance(document, list | tuple):
        for index, value in enumerate(document):
            check_scores(value, f"{where}.{index}")
    elif isinstance(document, float) and not math.isfinite(document):
        raise NonFinite(
            f"The score {where} is {document}.", "Look for weights or logits of the model that are not finite."
        )
