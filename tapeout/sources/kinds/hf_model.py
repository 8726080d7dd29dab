"""Files of a Hugging Face model repository at one commit."""

from typing import ClassVar, Literal

from tapeout.sources.kinds._hub import HubSource


class Source(HubSource):
    """Model repository."""

    repository_type: ClassVar[str] = "model"
    title: ClassVar[str] = "model"
    prefix: ClassVar[str] = ""

    kind: Literal["hf_model"]
