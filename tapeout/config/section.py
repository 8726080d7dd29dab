"""Base class of all sections of the configuration and of all parameter models."""

from collections.abc import Callable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen part of the configuration in which unknown keys are errors.

    The fields of a section are the parameters of the rules that use it, by name, and so part of their identity. Values
    that cannot change a result (threads of a data step, memory, time limits) belong in the rule's resources instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def identity(self) -> dict[str, Any]:
        """Return the parameters by name, as JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def parameters(cls, job: Callable[[Any], Self]) -> dict[str, Callable[[Any], Any]]:
        """Return parameters of a rule that depend on its wildcards, by name, each as a function of the wildcards.

        Args:
            job: creates the section from the wildcards.
        """

        def parameter(name: str) -> Callable[[Any], Any]:
            return lambda wildcards: job(wildcards).identity()[name]

        return {name: parameter(name) for name in cls.model_fields}
