"""Parameters of the supervised fine-tuning."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from tapeout.config.training import Training


class Sft(Training):
    """Instruction tuning with loss on the answers only."""

    steps: int = Field(250, ge=1, description="Optimiser steps.")
    final_fraction: float = Field(0.02, ge=0, lt=1, description="Part of the peak learning rate left at the last step.")
    global_batch: int = Field(16, ge=1, description="Sequences a step; several rows are packed into one.")
    validate_every: int = Field(125, ge=1, description="Steps between losses on the whole validation split (F51).")
    template: str = Field(
        "{input}\n### Answer: {output}", description="Prompt template; it is stored in the model (F55)."
    )

    @field_validator("template")
    @classmethod
    def has_both_fields(cls, template: str) -> str:
        """The template has an input and ends with an output."""
        if template.count("{input}") != 1 or template.count("{output}") != 1 or not template.endswith("{output}"):
            raise ValueError("the template needs one {input}, and one {output} at its end")
        return template

    @model_validator(mode="after")
    def is_validated(self) -> Self:
        """At least one validation happens (F31)."""
        if self.validate_every > self.steps:
            raise ValueError("validate_every must be at most steps, or there is no validation at all")
        return self
