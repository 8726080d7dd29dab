"""A model of NeMo as the base model."""

from typing import Literal

from tapeout.config.base import ForeignBase


class Base(ForeignBase):
    """A ``.nemo`` archive, or a NeMo-2 checkpoint: a folder, or a tar file of one."""

    kind: Literal["nemo"]
