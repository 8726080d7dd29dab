"""Parameters of the export to a Hugging Face folder."""

from pydantic import Field

from tapeout.config.section import Section


class Export(Section):
    """How exact the exported model must be."""

    tolerance: float = Field(1e-4, gt=0, description="Largest difference of a logit from the NeMo model's.")
    parity_tokens: int = Field(
        128, ge=2, description="Length of the sequence of fixed tokens on which logits are compared."
    )
