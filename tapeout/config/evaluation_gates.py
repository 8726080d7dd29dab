"""Gates of the evaluation report, part of the section ``report``."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tapeout.config.section import Section, conflict

GateName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$")]
"""Name of a gate on the page."""


class Gate(Section):
    """Limits on one number of the evaluation's ``report.json``."""

    number: str = Field(
        min_length=1,
        description="Dotted name of the number in report.json, e.g. measures.bits_per_byte.general.models.sft.value.",
    )
    min: float | None = Field(None, description="Least value that passes.")
    max: float | None = Field(None, description="Largest value that passes.")

    @model_validator(mode="after")
    def _is_a_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise conflict("a gate has neither min nor max", "State at least one limit.", "min", "max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise conflict("min is above max, so no value passes", "Exchange the two.", "min", "max")
        return self

    def passes(self, value: float | None) -> bool:
        """Return whether a value is within the limits; a value that was not measured is."""
        if value is None:
            return True
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class EvalGatesJob(Section):
    """Parameters of the rule ``eval_gates``."""

    on_failure: Literal["report", "stop"] = Field(description="What a failed gate does beside turning the report red.")
