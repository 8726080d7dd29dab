"""Parameters of the rule ``tokenizer_panel``, and the names under which its models are evaluated."""

from typing import Self

from pydantic import Field

from tapeout.config.base import Architecture
from tapeout.config.dapt import Dapt
from tapeout.config.section import Section

SURGERY = "tokenizer.surgery"
"""Name under which the base model is evaluated right after its rows were added; no evaluated model has a dot in its
name, so it is in nobody's way."""


class TrainingCost(Section):
    """Cost of continued pretraining by the model of ``tapeout cost``."""

    tokens: int = Field(description="Tokens of the extended vocabulary that are trained on.")
    general_fraction: float = Field(description="Fraction of them that are general text.")
    flop_before: int = Field(description="FLOP per token with the rows of the base model.")
    flop_after: int = Field(description="FLOP per token with the extended rows.")
    gpu: str = Field(description="GPU whose rate is assumed.")
    gpu_flops: float = Field(description="Assumed FLOP per second of one GPU.")

    @classmethod
    def of(cls, job: Dapt, architecture: Architecture, rows: tuple[int, int], gpu: str, gpu_flops: float) -> Self:
        """Return the cost of a training with the rows of the base and of the extended model."""
        before, after = (architecture.training_flop(count, 1, job.seq_length) for count in rows)
        return cls(
            tokens=job.max_steps * job.global_batch_size * job.seq_length,
            general_fraction=job.general_fraction,
            flop_before=before,
            flop_after=after,
            gpu=gpu,
            gpu_flops=gpu_flops,
        )


class TokenizerPanelJob(Section):
    """Parameters of the rule ``tokenizer_panel``."""

    base_file: str = Field(description="Name of the base vocabulary's file in the artifact ``tokenizer``.")
    file: str = Field(description="Name of the extended vocabulary's file there.")
    context: int = Field(description="Tokens of the model's context.")
    training: TrainingCost | None = Field(
        description="Continued pretraining; null if it reads shards, whose fractions the vocabulary changes."
    )
