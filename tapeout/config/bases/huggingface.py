"""A Hugging Face folder as the base model."""

from typing import Literal

from pydantic import Field

from tapeout.config.base import ForeignBase


class Base(ForeignBase):
    """A model in Hugging Face's layout: config.json, safetensors files and a tokenizer."""

    kind: Literal["huggingface"]


class HuggingFaceJob(Base):
    """Parameters of the rule ``base_huggingface``."""

    tokenizer: str = Field(min_length=1, description="Name of the vocabulary's file, which the folder must have.")
