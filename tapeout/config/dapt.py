"""Parameters of the domain-adaptive pretraining."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.training import Training


class Dapt(Training):
    """Continued pretraining on a blend of domain and general text (ChipNeMo, arXiv 2311.00176)."""

    reads: Literal["corpus", "pretraining"] = Field(
        "corpus",
        description="What is trained on: corpus.domain and corpus.general, or the shards of the section "
        "pretraining, whose weights then take the place of general_fraction and document_bytes.",
    )
    general_fraction: float = Field(0.35, ge=0, lt=1, description="Part of the sequences that are general text.")
    document_bytes: int = Field(
        16_384, ge=1, description="Longest part of one document that is used, cut at a line end."
    )

    @model_validator(mode="after")
    def _one_blend(self) -> Self:
        for name in ("general_fraction", "document_bytes"):
            if self.reads == "pretraining" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect where reads is pretraining: the components' weights decide")
        return self
