"""Parameters of the tiny base model, its training, and its new rows."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section


class Base(Section):
    """A tiny Llama trained for a short while on general text, so that it has something to lose."""

    hidden: int = Field(default=128, ge=8, description="Width of the residual stream.")
    layers: int = Field(default=4, ge=1, description="Transformer blocks.")
    heads: int = Field(default=4, ge=1, description="Attention heads.")
    key_value_heads: int = Field(default=2, ge=1, description="Key and value heads, each shared by several of them.")
    feed_forward: int = Field(default=384, ge=8, description="Width inside the gated feed-forward layer.")
    sequence: int = Field(default=256, ge=8, description="Tokens of a sequence.")
    rope_theta: float = Field(default=10000.0, gt=0, description="Base of the rotary positions' wavelengths.")
    norm_epsilon: float = Field(default=1e-5, gt=0, description="Added under the root in RMSNorm.")
    initial_deviation: float = Field(default=0.02, gt=0, description="Standard deviation of all initial weights.")
    steps: int = Field(default=640, ge=1, description="Optimiser steps.")
    batch: int = Field(default=4, ge=1, description="Sequences a step.")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Peak learning rate of the blocks' matrices and of the norms."
    )
    embedding_rate: float = Field(
        default=0.04,
        gt=0,
        description="Peak learning rate of the input embedding. Most rows get few gradients in a short training: at "
        "the blocks' rate they hardly leave their initial noise, and the loss is worse by a tenth and more.",
    )
    output_rate: float = Field(default=8e-3, gt=0, description="Peak learning rate of the output layer.")
    warm_up: int = Field(default=60, ge=0, description="Steps of linear warm-up.")
    final_fraction: float = Field(default=0.05, ge=0, le=1, description="Part of the peak rates left at the last step.")
    weight_decay: float = Field(default=0.1, ge=0, description="Decoupled weight decay of the blocks' matrices.")
    betas: tuple[float, float] = Field(default=(0.9, 0.99), description="AdamW's two decay rates.")
    clip: float = Field(default=3.0, gt=0, description="Largest norm of the gradient.")
    seed: int = Field(default=1, ge=0, description="Seed of the initial weights and of the documents' order.")
    threads: int = Field(default=2, ge=1, description="Threads of the arithmetic; their number orders the sums.")

    @model_validator(mode="after")
    def fits(self) -> Self:
        """Heads share the width evenly, and the warm-up leaves steps at the peak (F31, F43)."""
        if self.hidden % self.heads or self.heads % self.key_value_heads:
            raise ValueError("hidden must be a multiple of heads, and heads of key_value_heads")
        if self.hidden // self.heads % 2:
            raise ValueError("hidden / heads must be even for rotary positions")
        if self.warm_up * 2 > self.steps:
            raise ValueError("warm_up must be at most half of steps")
        return self


class BaseExtended(Section):
    """How the rows of new pieces begin."""

    output_init: Literal["mean", "zero"] = Field(
        default="zero",
        description="New rows of the output layer: zero, or the mean of the rows of a piece's parts (F19).",
    )
