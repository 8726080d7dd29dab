"""Problem sets for Verilog generation, and the parameters of the steps that check them and judge answers."""

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from tapeout import plugins
from tapeout.config.plugin_options import plugin_member
from tapeout.config.section import Section

FORMATS = "tapeout.simulation.problems.formats"
"""Package of the formats of problem sets (docs/extending.md)."""


class ProblemSet(Section):
    """A problem set, read from the source of the same name."""

    format: Annotated[str, StringConstraints(min_length=1)] = Field(
        "folder", description="Format of the source: folder, or another module of tapeout/simulation/problems/formats."
    )

    max_mutants: int = Field(
        1, ge=0, description="Mutants of each problem that its test bench is tried with, in the order of their names."
    )

    icarus: str | None = Field(
        None,
        pattern=r"^\S+$",
        description="Version of Icarus Verilog, such as 11.0, that also judges golden solutions and mutants, so that "
        "verdicts are compared; null for none. It must be installed where the step runs.",
    )

    @field_validator("format")
    @classmethod
    def _exists(cls, name: str) -> str:
        plugin_member(FORMATS, name, "read", "format")
        return name

    @property
    def module(self) -> str:
        """Dotted name of the format's module."""
        return plugins.module_name(FORMATS, self.format)


class ProblemsJob(ProblemSet):
    """Parameters of the rule ``problems``."""

    permit_no_isolation: bool = Field(
        description="True if programs run with limits alone where the machine permits no namespaces."
    )
