"""Base of all sections of the configuration and of all parameter models, and the error for keys that contradict."""

from collections.abc import Callable
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

CONFLICT = "conflict"
"""Type of the validation errors that ``conflict`` returns."""


class Section(BaseModel):
    """Frozen part of the configuration in which unknown keys, NaN and infinity are errors.

    The fields of a section are the parameters of the rules that use it, by name, and so part of their identity. Values
    that cannot change a result (threads of a data step, memory, time limits) belong in the rule's resources instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, values: Any) -> Any:
        """Refuse ``true`` and ``yes``, which would count as 1."""
        for name, field in cls.model_fields.items():
            forms = get_args(field.annotation) or (field.annotation,)
            if isinstance(values, dict) and isinstance(values.get(name), bool) and {int, float} & set(forms):
                raise conflict(f"{name} must be a number, not {str(values[name]).lower()}", "Write a number.", name)
        return values

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


def conflict(cause: str, fix: str, *keys: str | tuple[str, ...]) -> PydanticCustomError:
    """Return the error that a validator raises for values that contradict each other.

    Args:
        cause: what is wrong, with the values; a sentence without its full stop.
        fix: one sentence, what to change.
        keys: keys of the values, relative to the section, dotted or as tuples; the message names their file and line.
    """
    parts = [tuple(key.split(".")) if isinstance(key, str) else key for key in keys]
    return PydanticCustomError(CONFLICT, "{cause}", {"cause": cause, "fix": fix, "keys": parts})
