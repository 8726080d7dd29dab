"""The container that NeMo's steps run in."""

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from tapeout.config.section import Section

PINNED = re.compile(r"[^\s@:]+(:\d+/[^\s@:]+)?(:[\w.-]+)?@sha256:[0-9a-f]{64}")


class Container(Section):
    """Which image the NeMo steps run in, and what must be in it; without an image they run in ``envs/nemo.lock``.

    How it is started (apptainer, pyxis), and what it sees of the machine, is the site's business: config/site.yaml.
    """

    image: str | None = Field(
        None,
        description="The image by digest, e.g. nvcr.io/nvidia/nemo@sha256:<64 hexadecimal digits>; a tag before the @ "
        "is for people. A tag alone is refused: it can be moved to another image (F3). The digest is part of the "
        "identity of every step that runs in it, the registry is not.",
    )
    python: str = Field("python3", min_length=1, description="The interpreter's command inside.")
    packages: dict[str, str] = Field(
        {},
        description="Versions that are expected inside, by package, e.g. {nemo_toolkit: 2.4.1}. The step probe imports "
        "them and fails if one differs; nothing trains before it has passed (F2).",
    )

    @field_validator("image")
    @classmethod
    def _pinned(cls, image: str | None) -> str | None:
        if image is not None and not PINNED.fullmatch(image):
            raise ValueError(
                f"{image} has no digest; a tag can be moved to another image, and nothing would show it (F3): "
                "write REPOSITORY@sha256:DIGEST, where the digest has 64 hexadecimal digits"
            )
        return image

    @field_validator("packages")
    @classmethod
    def _one_spelling(cls, packages: dict[str, str]) -> dict[str, str]:
        return {name.lower().replace("_", "-"): version for name, version in packages.items()}

    @model_validator(mode="after")
    def _of_an_image(self) -> Self:
        """Without an image the lock's hashes say what is there."""
        if self.packages and self.image is None:
            raise ValueError("packages are what an image must hold, and there is no image: name one, or none of both")
        return self
