"""Parameters of the export to a Hugging Face folder."""

from pydantic import Field

from tapeout.config.instructions import EncodeJob
from tapeout.config.section import Section
from tapeout.config.sources import SourceName

EXPORTED = "sft/model"
"""Artifact of the model that the rule ``export_hf`` exports: the one that users get."""


class Export(Section):
    """Accuracy that the exported model must have."""

    tolerance: float = Field(1e-4, gt=0, description="Maximum difference of a logit from the NeMo model's.")
    parity_tokens: int = Field(
        128,
        ge=0,
        description="Length of the sequence of fixed tokens on which logits are compared; with 0 only the tensors are, "
        "as for a model that does not fit in memory.",
    )


class Attribution(Section):
    """Origin and licence of a source whose content is in the model."""

    origin: str = Field(min_length=1, description="Where it comes from.")
    licence: str = Field(min_length=1, description="Its licence.")


class ExportJob(Export):
    """Parameters of the rule ``export_hf``; the attributions go into the NOTICE file of the model's folder."""

    encoding: EncodeJob = Field(description="Prompts of the training.")
    systems: tuple[str, ...] = Field(description="System messages that conversations without one got.")
    tokenizer: Attribution = Field(description="Source of the base tokenizer.")
    base: Attribution | None = Field(None, description="Source of the base model; null if it was made here.")
    trained_on: dict[SourceName, Attribution] = Field(
        min_length=1, description="Sources of the training text, by name."
    )


class ExportNemoJob(Export):
    """Parameters of the rule ``export_nemo``."""

    encoding: EncodeJob = Field(description="Prompts of the training.")
