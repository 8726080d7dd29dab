"""Parameters of the domain-adaptive pretraining."""

from pydantic import Field

from tapeout.config.training import Training


class Dapt(Training):
    """Continued pretraining on a blend of domain and general text (ChipNeMo, arXiv 2311.00176)."""

    general_fraction: float = Field(0.35, ge=0, lt=1, description="Part of the sequences that are general text.")
    document_bytes: int = Field(
        16_384, ge=1, description="Longest part of one document that is used, cut at a line end."
    )
