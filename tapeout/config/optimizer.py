"""Types and checks of optimizer parameters, common to the base model and the training methods."""

from typing import Annotated

from pydantic import Field

from tapeout.config.section import conflict

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Seed in the range that all generators accept."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""Decay rate of a moving average."""


def check_warmup(warmup_steps: int, max_steps: int) -> None:
    """Check that the warm-up leaves steps at the peak.

    Raises:
        PydanticCustomError: it is longer than half of the training.
    """
    if warmup_steps * 2 > max_steps:
        raise conflict(
            f"warmup_steps is {warmup_steps}, more than half of max_steps, {max_steps}",
            f"Lower it to at most {max_steps // 2}, or raise max_steps.",
            "warmup_steps",
            "max_steps",
        )


def check_decay(warmup_steps: int, decay_steps: int | None, max_steps: int) -> None:
    """Check that the schedule wsd has a decay, and a step at the peak between the warm-up and the decay.

    Raises:
        PydanticCustomError: it has not.
    """
    if decay_steps is None:
        cause, fix = "the schedule wsd needs decay_steps", "Set decay_steps, for example to a tenth of max_steps."
        raise conflict(cause, fix, "schedule")
    if warmup_steps + decay_steps >= max_steps:
        raise conflict(
            f"warmup_steps, {warmup_steps}, and decay_steps, {decay_steps}, leave no step of max_steps, {max_steps}, "
            "at the peak",
            "Lower decay_steps or warmup_steps, or raise max_steps.",
            *("decay_steps", "warmup_steps", "max_steps", "schedule"),
        )
