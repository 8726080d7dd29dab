"""A GGUF file as the base model."""

from typing import Literal

from pydantic import Field

from tapeout.config.base import ForeignBase


class Base(ForeignBase):
    """A model in a GGUF file with byte-level BPE, which is dequantized to 32-bit floats; ``path`` ends in ``.gguf``."""

    kind: Literal["gguf"]


class GgufJob(Base):
    """Parameters of the rule ``base_gguf``."""

    tokenizer: str = Field(pattern="^tokenizer.json$", description="Name of the vocabulary's file that is written.")
