"""Kind of base model from outside of the package: a folder that somebody left."""

from typing import Literal

from tapeout.config.base import BaseKind


class Base(BaseKind):
    """Found model."""

    kind: Literal["tests.toys.toy_base"]
    folder: str
