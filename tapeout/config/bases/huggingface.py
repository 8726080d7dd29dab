"""A Hugging Face folder as the base model."""

from typing import Literal

from tapeout.config.base import ForeignBase


class Base(ForeignBase):
    """A model in Hugging Face's layout: config.json, safetensors files and a tokenizer."""

    kind: Literal["huggingface"]
