"""Container image in which NeMo's steps run."""

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from tapeout.config.section import Section, conflict

PINNED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/-]*(:[0-9]+/[a-zA-Z0-9._/-]+)?(:[a-zA-Z0-9_.-]+)?@sha256:[0-9a-f]{64}")


def pinned(image: str | None) -> str | None:
    """Return the name of an image that has a digest, or None.

    Raises:
        PydanticCustomError: it has none.
    """
    if image is not None and not PINNED.fullmatch(image):
        raise conflict(
            f"the image {image} has no digest; a tag can be moved to another image without notice",
            "Write REPOSITORY@sha256:DIGEST, where the digest has 64 hexadecimal digits.",
        )
    return image


class Container(Section):
    """Image of the NeMo steps and the versions expected in it; without an image they run in ``envs/nemo.lock``.

    How containers are started (apptainer, pyxis) and which folders they see is configured in the site file.
    """

    image: str | None = Field(
        None,
        description="Image by digest, e.g. nvcr.io/nvidia/nemo@sha256:<64 hexadecimal digits>; a tag before the @ is "
        "only a remark. A tag alone is refused, because it can be moved to another image. The digest is part of the "
        "identity of every step that runs in the image; the registry is not.",
    )
    python: str = Field("python3", min_length=1, description="Command of the Python interpreter in the image.")
    packages: dict[str, str] = Field(
        {},
        description="Expected versions by package, e.g. {nemo_toolkit: 2.4.1}. The step probe imports the packages and "
        "fails if a version differs; nothing trains before it has passed.",
    )

    @field_validator("image")
    @classmethod
    def _pinned(cls, image: str | None) -> str | None:
        return pinned(image)

    @field_validator("packages")
    @classmethod
    def _normalized(cls, packages: dict[str, str]) -> dict[str, str]:
        return {name.lower().replace("_", "-"): version for name, version in packages.items()}

    @model_validator(mode="after")
    def _packages_need_an_image(self) -> Self:
        if self.packages and self.image is None:
            raise conflict(
                "packages describes the content of an image, and there is no image",
                "Set image, or remove packages.",
                "packages",
                "image",
            )
        return self
