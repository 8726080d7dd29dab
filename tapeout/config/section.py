"""What all sections of the configuration have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen part of the configuration in which an unknown key is an error.

    The fields of a section are, by name, the parameters of the rules that use it, and so part of their identity:
    what must not change a result (threads of a data step, memory, time limits) has no place here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def identity(self) -> dict[str, Any]:
        """Parameters by name, as JSON values in a canonical form, ready to be a rule's ``params``."""
        return self.model_dump(mode="json")
