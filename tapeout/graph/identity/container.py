"""Container images as environments of steps, identified by digest wherever they are pulled from."""

import re
from dataclasses import dataclass

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.action import CONTAINER, Recipe
from tapeout.graph.identity.environment import Environment, read_environment

PINNED = re.compile(r"(?P<repository>[^\s@:]+(?::\d+/[^\s@:]+)?)(?::[\w.-]+)?@sha256:(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Container:
    """An image and the interpreter in it.

    Only the image's digest is identity: the same image in another registry is the same environment.

    Attributes:
        image: ``REPOSITORY@sha256:DIGEST``; a tag before the ``@`` is ignored.
        python: the interpreter's command in the container.
    """

    image: str
    python: str = "python3"

    @classmethod
    def of(cls, image: str, python: str, rule: str) -> "Container":
        """Return the container of a rule.

        Raises:
            InvalidRule: the image has no digest.
        """
        if not PINNED.fullmatch(image):
            raise InvalidRule(
                f"Rule {rule} names the image {image} without a digest; a tag may point to another image later.",
                "Write REPOSITORY@sha256:DIGEST, 64 hexadecimal digits (docs/containers.md).",
            )
        return cls(image, python)

    @property
    def name(self) -> str:
        """Environment name in the action, in place of a lock's name."""
        return CONTAINER

    @property
    def digest(self) -> str:
        """SHA-256 of the image's manifest, the digest that registries use."""
        return self.image.rpartition(":")[2]

    @property
    def repository(self) -> str:
        """Registry and repository without the tag, as container runtimes require it in front of a digest."""
        match = PINNED.fullmatch(self.image)
        return match["repository"] if match else self.image

    @property
    def pinned(self) -> str:
        """Repository and digest, without a tag."""
        return f"{self.repository}@sha256:{self.digest}"


def environment_of(recipe: Recipe) -> Environment | Container:
    """Return the container of a step, or the environment of its lock file as it is now.

    Raises:
        InvalidEnvironment: see ``read_environment``.
    """
    return Container(recipe.image, recipe.python) if recipe.image else read_environment(recipe.environment)
