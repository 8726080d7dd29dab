"""Icarus Verilog, a second simulator where the configuration names it."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tapeout.simulation.containment import DEFAULT_LIMITS, VARIABLES, Containment, SimulatorLimits
from tapeout.simulation.simulator import Simulated

FLAGS: tuple[str, ...] = ("-g2012",)


def installed_version() -> str | None:
    """Return the version of the installed Icarus Verilog; None if there is none."""
    program = shutil.which("iverilog", path=VARIABLES["PATH"])
    if program is None or shutil.which("vvp", path=VARIABLES["PATH"]) is None:
        return None
    output = subprocess.run([program, "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.match(r"Icarus Verilog version (\S+)", output.stdout)
    return found[1] if found else None


class Icarus:
    """Icarus Verilog.

    Args:
        containment: starts the programs.
        version: version that is installed.
        limits: limits of its programs.
    """

    name = "Icarus Verilog"
    digest = ""
    flags: tuple[str, ...] = FLAGS

    def __init__(self, containment: Containment, version: str, limits: SimulatorLimits = DEFAULT_LIMITS) -> None:
        self.version = version
        self._containment = containment
        self._limits = limits

    def simulate(self, folder: Path, sources: Sequence[str], top: str, data: Mapping[str, Path]) -> Simulated:
        """Compile and simulate; see ``simulator.Simulator``."""
        command = ["/usr/bin/iverilog", *FLAGS, "-s", top, "-o", "sim.vvp", *sources]
        outcome = self._containment.run(command, self._limits.compilation, folder=folder)
        if not outcome.succeeded:
            return Simulated("elaborate", outcome)
        files = {"sim.vvp": folder / "sim.vvp", **data}
        outcome = self._containment.run(
            ["/usr/bin/vvp", "-n", "sim.vvp"], self._limits.simulation, files=files, alone=True
        )
        return Simulated("simulate", outcome)
