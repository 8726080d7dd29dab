"""Problem sets for Verilog generation, and the parameters of the steps that read and check them."""

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from tapeout import plugins
from tapeout.config.plugin_options import plugin_member
from tapeout.config.section import Section

FORMATS = "tapeout.simulation.problems.formats"
"""Package of the formats of problem sets (docs/extending.md)."""


class ProblemsJob(Section):
    """Parameters of the rule ``problems``."""

    format: Annotated[str, StringConstraints(min_length=1)] = Field(
        "folder", description="Format of the source: folder, or another module of tapeout/simulation/problems/formats."
    )

    parts: int = Field(
        1,
        ge=1,
        description="Parts of the set, by the names of problems; each model answers each part in a step of its own.",
    )

    @field_validator("format")
    @classmethod
    def _exists(cls, name: str) -> str:
        plugin_member(FORMATS, name, "read", "format")
        return name


class ProblemSet(ProblemsJob):
    """A problem set, read from the source of the same name."""

    max_mutants: int = Field(
        1, ge=0, description="Mutants of each problem that its test bench is tried with, in the order of their names."
    )

    icarus: str | None = Field(
        None,
        pattern=r"^\S+$",
        description="Version of Icarus Verilog, such as 11.0, that also judges golden solutions and mutants, so that "
        "verdicts are compared; null for none. It must be installed where the step runs.",
    )

    synthesis: bool = Field(
        True,
        description="True if golden solutions and designs that pass are also synthesized with Yosys, and compared with "
        "the golden solution.",
    )

    @property
    def module(self) -> str:
        """Dotted name of the format's module."""
        return plugins.module_name(FORMATS, self.format)

    @property
    def problems_job(self) -> ProblemsJob:
        """Parameters of the rule ``problems``."""
        return ProblemsJob(format=self.format, parts=self.parts)

    def checked_job(self, permit_no_isolation: bool) -> "CheckedJob":
        """Return the parameters of the rule ``checked``."""
        return CheckedJob(
            max_mutants=self.max_mutants,
            icarus=self.icarus,
            synthesis=self.synthesis,
            permit_no_isolation=permit_no_isolation,
        )


class CheckedJob(Section):
    """Parameters of the rule ``checked``."""

    max_mutants: int = Field(ge=0, description="Mutants of each problem that its test bench is tried with.")
    icarus: str | None = Field(description="Version of Icarus Verilog that also judges; null for none.")
    synthesis: bool = Field(description="True if golden solutions are synthesized, and then designs that pass.")
    permit_no_isolation: bool = Field(
        description="True if programs run with limits alone where the machine permits no namespaces."
    )
