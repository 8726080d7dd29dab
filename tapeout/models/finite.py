"""Stop a training run or an evaluation at the first number that is NaN or infinite."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tapeout.errors import TapeoutError

if TYPE_CHECKING:
    from torch import Tensor

MAX_NAMES = 8
"""Documents or rows that an error names."""


class NonFinite(TapeoutError):
    """A loss, a gradient, a weight or a score is NaN or infinite."""


def check_value(name: str, value: float, step: int, batch: Callable[[], Sequence[str]]) -> None:
    """Check a number that belongs to a step of a training run.

    Args:
        name: what it is, e.g. "loss".
        value: the number.
        step: number of the step.
        batch: returns the names of the documents or rows of the step's batch; called only if the value is not finite.

    Raises:
        NonFinite: it is not finite.
    """
    if not math.isfinite(value):
        names = batch()
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        raise NonFinite(
            f"The {name} of step {step} is {value}; its batch has {', '.join(names[:MAX_NAMES])}{more}.",
            "Lower the learning rates, raise warmup_steps, or correct this text if earlier steps had a low loss.",
        )


def check_weights(weights: "Iterable[tuple[str, Tensor]]", step: int) -> None:
    """Check the weights of a model after the last step of its training.

    Raises:
        NonFinite: names the first tensor with a number that is not finite.
    """
    for name, tensor in weights:
        if not bool(tensor.isfinite().all()):
            raise NonFinite(
                f"After step {step}, the last one, the weights {name} are not finite.",
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
