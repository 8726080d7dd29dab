"""How instruction rows are packed: as the fine-tuning that they are for."""

from pydantic import Field

from tapeout.config.section import Section


class Packing(Section):
    """Parameters of the rule ``instructions_packed``: two of the section ``sft``."""

    template: str = Field(description="Prompt template.")
    seq_length: int = Field(ge=8, description="Tokens of a sequence.")
