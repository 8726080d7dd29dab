"""Files of a Hugging Face data set repository at one commit."""

from typing import ClassVar, Literal

from tapeout.sources.kinds._hub import HubSource


class Source(HubSource):
    """Data set repository."""

    repository_type: ClassVar[str] = "dataset"
    title: ClassVar[str] = "data set"
    prefix: ClassVar[str] = "datasets/"

    kind: Literal["hf_dataset"]
