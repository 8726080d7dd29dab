"""A GGUF file as the base model."""

from typing import Literal

from tapeout.config.base import ForeignBase


class Base(ForeignBase):
    """A model in a GGUF file with byte-level BPE, dequantized to 32-bit floats; ``path`` names the file."""

    kind: Literal["gguf"]
