"""Parameters of domain-adaptive pretraining."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import conflict
from tapeout.config.training import Training


class Dapt(Training):
    """Continued pretraining on a blend of domain and general text (ChipNeMo, arXiv 2311.00176)."""

    reads: Literal["corpus", "pretraining"] = Field(
        "corpus",
        description="Training text: corpus.domain and corpus.general, or the shards of the section pretraining, whose "
        "weights then replace general_fraction and max_document_bytes.",
    )
    general_fraction: float = Field(0.35, ge=0, lt=1, description="Fraction of the sequences that are general text.")
    max_document_bytes: int = Field(
        16_384, ge=1, description="Maximum bytes of one document that are used, cut at the end of a line."
    )

    @model_validator(mode="after")
    def _no_option_without_effect(self) -> Self:
        for name in ("general_fraction", "max_document_bytes"):
            if self.reads == "pretraining" and getattr(self, name) != type(self).model_fields[name].default:
                cause = f"{name} has no effect where reads is pretraining: the weights of the components decide"
                raise conflict(cause, f"Remove {name}.", name, "reads")
        return self
