"""A container image as a step's environment: known by its digest, wherever it is pulled from."""

import re
from dataclasses import dataclass

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.action import CONTAINER, Recipe
from tapeout.graph.identity.environment import Environment, read_environment

PINNED = re.compile(r"(?P<repository>[^\s@:]+(?::\d+/[^\s@:]+)?)(?::[\w.-]+)?@sha256:(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Container:
    """An image and the interpreter in it.

    Of the image only the digest is identity: the same bytes in another registry are the same environment.

    Attributes:
        image: ``REPOSITORY@sha256:DIGEST``; a tag before the ``@`` is for people.
        python: the interpreter's command inside.
    """

    image: str
    python: str = "python3"

    @classmethod
    def of(cls, image: str, python: str, rule: str) -> "Container":
        """Read what a rule says; raises ``InvalidRule`` if it lacks a digest."""
        if not PINNED.fullmatch(image):
            raise InvalidRule(
                f"Rule {rule} names the image {image} without a digest; a tag can be moved to another image (F3).",
                "Write REPOSITORY@sha256:DIGEST, 64 hexadecimal digits (docs/containers.md).",
            )
        return cls(image, python)

    @property
    def name(self) -> str:
        """What stands in the action in place of a lock's name."""
        return CONTAINER

    @property
    def digest(self) -> str:
        """SHA-256 of the image's manifest: what registries call its digest."""
        return self.image.rpartition(":")[2]

    @property
    def repository(self) -> str:
        """Where it is pulled from, with the registry and without a tag, as runtimes want it beside a digest."""
        found = PINNED.fullmatch(self.image)
        return found["repository"] if found else self.image

    @property
    def pinned(self) -> str:
        """Repository and digest."""
        return f"{self.repository}@sha256:{self.digest}"


def environment_of(recipe: Recipe) -> Environment | Container:
    """What a step's program runs in: its container, or the environment of its lock as the file is now.

    Raises:
        InvalidEnvironment: see ``read_environment``.
    """
    return Container(recipe.image, recipe.python) if recipe.image else read_environment(recipe.environment)
