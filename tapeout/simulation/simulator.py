"""Interface of a simulator: from sources to the output of a simulation, one rung of the ladder after the other."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tapeout.simulation.containment import Outcome

Stage = Literal["elaborate", "compile", "simulate"]
"""Part of a simulation: reading design and test bench, making a program of them, and its run."""
MAX_MESSAGE = 200
"""Characters of a message that are kept."""


@dataclass(frozen=True)
class Simulated:
    """Result of a compilation and, if it succeeded, of the simulation.

    Attributes:
        stage: the last stage that was reached.
        outcome: end of its program.
    """

    stage: Stage
    outcome: Outcome


class Simulator(Protocol):
    """A simulator.

    Attributes:
        name, version: of the program.
        digest: SHA-256 of the program, if it belongs to the locked environment; else empty.
        flags: options that influence a verdict.
    """

    name: str
    version: str
    digest: str
    flags: tuple[str, ...]

    def simulate(self, folder: Path, sources: Sequence[str], top: str, data: Mapping[str, Path]) -> Simulated:
        """Compile and simulate.

        Args:
            folder: folder with the sources, in which files may be written.
            sources: paths of the sources in it, in order.
            top: top module, the test bench.
            data: files that the simulation reads, by path.
        """


def message_of(outcome: Outcome) -> str:
    """Return the first line of an output that reports an error, without what differs between machines."""
    lines = [line.strip() for line in outcome.output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"%Error|error|assert|terminate called", line)]
    text = (errors or lines or [""])[0]
    return "".join(character if character.isprintable() else "?" for character in text)[:MAX_MESSAGE]
