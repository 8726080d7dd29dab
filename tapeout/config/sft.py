"""Parameters of supervised fine-tuning."""

from pydantic import Field, field_validator

from tapeout.config.section import conflict
from tapeout.config.validated_training import ValidatedTraining


class Sft(ValidatedTraining):
    """Instruction tuning with loss on the answers only."""

    PACKED = True

    max_steps: int = Field(250, ge=1, description="Optimizer steps.")
    min_lr_fraction: float = Field(
        0.02, ge=0, lt=1, description="Fraction of the peak learning rate to which cosine and wsd decay."
    )
    global_batch_size: int = Field(16, ge=1, description="Sequences per step; several rows are packed into one.")
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
