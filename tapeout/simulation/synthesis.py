"""Judgement on a design beyond its test bench: whether it synthesizes, and whether it equals the golden solution."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

SynthesisReason = Literal[
    "not_read",
    "conflicting_drivers",
    "combinational_loop",
    "inferred_latch",
    "synthesis_error",
    "synthesis_limit",
]
SYNTHESIS_REASONS: Mapping[SynthesisReason, str] = {
    "not_read": "the synthesizer rejects the text, or does not support a construct of it",
    "conflicting_drivers": "a signal has several drivers",
    "combinational_loop": "a signal depends on itself without a register between",
    "inferred_latch": "a latch is inferred, and the golden solution has none",
    "synthesis_error": "the synthesizer ends with an error after it has read the text",
    "synthesis_limit": "synthesis exceeds its limits of time, memory or output",
}
"""Closed list of reasons why a design does not synthesize."""
Equivalence = Literal["proved", "different", "undecided"]
"""Outcome of a comparison with the golden solution."""
UndecidedReason = Literal["other_ports", "too_large", "unsupported", "undefined", "effort", "limit"]
UNDECIDED: Mapping[UndecidedReason, str] = {
    "other_ports": "the ports are not those of the golden solution, or have both directions",
    "too_large": "the designs have more registers and memory than are compared",
    "unsupported": "a construct cannot be compared",
    "undefined": "the designs differ, but only where a value of the golden solution is undefined",
    "effort": "neither a proof nor a difference within the effort",
    "limit": "the comparison exceeds its limits of time or memory",
}
"""Closed list of reasons why a comparison has no outcome."""


class Synthesis(BaseModel):
    """Result of synthesis and of the comparison with the golden solution.

    Attributes:
        reason: why the design does not synthesize; None if it does.
        equivalence: outcome of the comparison; None if the design does not synthesize.
        undecided: why the comparison has no outcome.
        detail: the first message of the synthesizer, or where the designs differ.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: SynthesisReason | None
    equivalence: Equivalence | None = None
    undecided: UndecidedReason | None = None
    detail: str = ""

    @property
    def synthesizes(self) -> bool:
        """True if the design synthesizes."""
        return self.reason is None

    @property
    def proved(self) -> bool:
        """True if the design is proved equivalent to the golden solution."""
        return self.equivalence == "proved"


def undecided(reason: UndecidedReason) -> Synthesis:
    """Return the result for a design that synthesizes and whose comparison has no outcome."""
    return Synthesis(reason=None, equivalence="undecided", undecided=reason)
