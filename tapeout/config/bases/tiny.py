"""A tiny base model, made and trained here."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.base import BaseKind
from tapeout.config.optimizer import Decay, Seed, check_warmup


class Base(BaseKind):
    """A tiny model trained for a short while on general text, so that it has something to forget."""

    kind: Literal["tiny"] = "tiny"
    max_steps: int = Field(default=640, ge=1, description="Optimizer steps.")
    global_batch_size: int = Field(default=4, ge=1, description="Sequences per step.")
    lr: float = Field(default=2e-3, gt=0, description="Peak learning rate of the layers' matrices and of the norms.")
    embedding_lr: float = Field(
        default=0.04,
        gt=0,
        description="Peak learning rate of a separate input embedding. Most rows get few gradients in a short run: "
        "at the layers' rate they hardly leave their initial noise, and the loss is a tenth or more higher.",
    )
    output_lr: float = Field(
        default=8e-3, gt=0, description="Peak learning rate of the output layer, and of tied rows."
    )
    warmup_steps: int = Field(default=60, ge=0, description="Steps of linear warm-up.")
    min_lr_fraction: float = Field(
        default=0.05, ge=0, le=1, description="Fraction of the peak learning rates that the last step has."
    )
    weight_decay: float = Field(default=0.1, ge=0, description="Decoupled weight decay of the layers' matrices.")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.99), description="AdamW's two decay rates.")
    grad_clip: float = Field(default=3.0, gt=0, description="Maximum norm of the gradient.")
    seed: Seed = Field(default=1, description="Seed of the initial weights and of the order of the documents.")
    threads: int = Field(
        default=2, ge=1, description="Threads of the arithmetic; results depend on their number, which orders the sums."
    )

    @property
    def trained_tokens(self) -> int:
        """Tokens of all steps."""
        return self.max_steps * self.global_batch_size * self.architecture.seq_length

    @model_validator(mode="after")
    def _warmup_leaves_steps_at_the_peak(self) -> Self:
        check_warmup(self.warmup_steps, self.max_steps)
        return self


class BaseJob(Base):
    """Parameters of the rule ``base_tiny``: the section ``base``, and where the vocabulary is."""

    model_file: str = Field(description="File of the vocabulary in its source, ``tokenizer.model_file``.")
