"""Parameters of supervised fine-tuning."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from tapeout.config.section import conflict
from tapeout.config.training import Training


class Sft(Training):
    """Instruction tuning with loss on the answers only."""

    PACKED = True

    max_steps: int = Field(250, ge=1, description="Optimizer steps.")
    min_lr_fraction: float = Field(
        0.02, ge=0, lt=1, description="Fraction of the peak learning rate to which cosine and wsd decay."
    )
    global_batch_size: int = Field(16, ge=1, description="Sequences per step; several rows are packed into one.")
    val_check_interval: int = Field(
        125, ge=1, description="Steps between measurements of the loss on the whole validation split."
    )
    template: str = Field("{input}\n### Answer: {output}", description="Prompt template; it is stored in the model.")

    @field_validator("template")
    @classmethod
    def has_both_fields(cls, template: str) -> str:
        """Require an input, and an output at the end."""
        if template.count("{input}") != 1 or template.count("{output}") != 1 or not template.endswith("{output}"):
            raise conflict(
                "the template must have {input} once, and {output} once, at its end",
                'Write for example "{input}\\n### Answer: {output}".',
            )
        return template

    @model_validator(mode="after")
    def _is_validated(self) -> Self:
        if self.val_check_interval > self.max_steps:
            raise conflict(
                f"val_check_interval is {self.val_check_interval}, more than max_steps, {self.max_steps}: "
                "there would be no validation at all",
                f"Lower it to at most {self.max_steps}.",
                "val_check_interval",
                "max_steps",
            )
        return self
