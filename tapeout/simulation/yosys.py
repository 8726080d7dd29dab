"""Yosys and ABC from the locked environment: synthesis, and equivalence with the golden solution.

Both run contained, because they read generated text. Yosys synthesizes a design, and writes a miter of it and the
golden solution: a circuit whose outputs are 1 where those of the two differ. ABC searches for such a step, and for a
proof that there is none. Its effort is limited by depth and conflicts, so that an outcome does not depend on the
machine's load.
"""

import hashlib
import json
import re
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tapeout.simulation import yosys_program
from tapeout.simulation.containment import MIB, SYSTEM, Containment, Limits, Outcome
from tapeout.simulation.ladder import expand
from tapeout.simulation.problems.problem import ANSWER, Problem
from tapeout.simulation.simulator import message_of
from tapeout.simulation.synthesis import Equivalence, Synthesis, SynthesisReason, undecided
from tapeout.simulation.verilator import Verilator

DEPTH = 20
"""Steps after reset in which a difference is searched for, before a proof is tried."""
FRAMES = 100
"""Most frames of a proof."""
CONFLICTS = 20000
"""Most conflicts of one call of the solver."""
SEARCH = (
    f"cycle -F {yosys_program.PREFIX_STEPS}",
    "scleanup",
    f"bmc3 -F {DEPTH} -C {CONFLICTS}",
    "print_status",
    "scorr -C 1000",
    "orpos",
    f"pdr -F {FRAMES} -C {CONFLICTS}",
    "print_status",
    "iprove",
    "print_status",
)
"""Commands of ABC after a miter is read: leave reset, search, merge equal registers, prove. The last but one fits
circuits without registers, and the one before those with."""
FLAGS: tuple[str, ...] = ("synth -noabc -run coarse:fine", *SEARCH)
SYNTHESIZE = Limits(20, 600, 2048 * MIB, 32 * MIB, 16 * MIB, MIB, 16)
"""Limits of Yosys."""
PROVE = Limits(30, 600, 2048 * MIB, MIB, 16 * MIB, MIB, 16)
"""Limits of ABC: the effort ends first, except for circuits whose single steps are very hard."""
ATTRIBUTE = re.compile(r"\(\*(?!\s*\)).*?\*\)", re.DOTALL)
"""An attribute; ``@(*)`` is none. Yosys leaves out, keeps or invents parts of a design by them."""
CHECKED_CASE = re.compile(r"\b(?:unique0?|priority)\b(?=\s*(?:case|if))")
"""Words by which a designer promises something about values: a check in simulation, a freedom for Yosys."""
OWN_PROGRAM = Path("/proc/self/exe")
"""Link that Yosys reads; contained programs have no /proc, so it gets one to the interpreter."""


@dataclass(frozen=True)
class YosysLimits:
    """Limits of the synthesizer's programs."""

    synthesis: Limits
    proof: Limits


class _Facts(BaseModel):
    """Notes of the program: the last stage that it began, or its end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["golden", "read", "synthesize", "compare", "other_ports", "too_large", "done"] = "golden"
    problems: tuple[SynthesisReason, ...] = ()
    outputs: tuple[str, ...] = ()


DEFAULT_LIMITS = YosysLimits(SYNTHESIZE, PROVE)


class Yosys:
    """Yosys with ABC.

    Args:
        containment: starts the programs.
        verilator: expands the macros of designs, so that Yosys reads what is simulated.
        limits: limits of its programs.
    """

    name = "Yosys"
    flags: tuple[str, ...] = FLAGS

    def __init__(self, containment: Containment, verilator: Verilator, limits: YosysLimits = DEFAULT_LIMITS) -> None:
        self.version = version("pyosys")
        self._containment = containment
        self._verilator = verilator
        self._limits = limits
        package = find_spec("pyosys")
        assert package is not None and package.origin is not None, "it is in the environment rtl"
        self._package = Path(package.origin).parent
        programs = [self._package / "libyosys.so", self._package / "yosys-abc"]
        self.digest = hashlib.sha256(b"".join(program.read_bytes() for program in programs)).hexdigest()

    def judge(self, problem: Problem, text: str) -> Synthesis:
        """Synthesize a source text, and compare it with the golden solution of its problem.

        A difference counts only where the golden solution has a defined value. A text is first compared in two-valued
        logic, as the simulator sees it. Without a proof, the golden solution is extended by masks of what is undefined,
        and compared again. A proof then says only that no defined value differs, and there may be none.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for design, content in (("golden", problem.golden), ("answer", text)):
                _write(problem, design, self._plain(problem, content), folder)
            found = self._synthesize(folder, problem.top, "zero")
            if found.equivalence is None or found.undecided != "effort":
                return found
            first = self._search(folder, "zero")
            if first.proved:
                return first
            found = self._synthesize(folder, problem.top, "defined")
            if found.undecided != "effort":
                return found
            second = self._search(folder, "defined")
            return undecided("undefined") if second.proved else second

    def _plain(self, problem: Problem, text: str) -> str:
        """Return a text as it is compiled for simulation, without what means more to Yosys than to the simulator."""
        with tempfile.TemporaryDirectory() as temporary:
            _, expanded = expand(problem, text, self._verilator, Path(temporary))
        return CHECKED_CASE.sub("", ATTRIBUTE.sub("", expanded))

    def _synthesize(self, folder: Path, top: str, kind: str) -> Synthesis:
        """Synthesize, and write a miter; the result is undecided for lack of effort if there is one to search."""
        program = Path(yosys_program.__file__)
        python = Path(sys.executable).resolve()
        command = [str(python), "-I", "-S", str(program), str(self._package.parent), top, kind]
        outcome = self._containment.run(
            command,
            self._limits.synthesis,
            folder=folder,
            reads=[*_outside_system([python, *_libraries()]), OWN_PROGRAM, self._package, program],
            alone=True,
        )
        facts = _facts(folder)
        stage, is_limit = facts.stage, outcome.end not in ("ended", "crash")
        is_limit = is_limit or outcome.status == yosys_program.NO_MEMORY
        if facts.problems:
            return Synthesis(reason=facts.problems[0])
        if stage in ("golden", "read", "synthesize"):
            return _rejected(is_read=stage == "synthesize", is_limit=is_limit, message=_message(folder))
        if stage == "compare" or not outcome.succeeded:
            return undecided("limit" if is_limit else "unsupported")
        return undecided(stage if stage in ("other_ports", "too_large") else "effort")

    def _search(self, folder: Path, kind: str) -> Synthesis:
        """Search a miter for a difference, and for a proof that there is none."""
        script = "; ".join((f"read_aiger {kind}.aig", *SEARCH))
        command = [str(self._package / "yosys-abc"), "-c", script]
        outcome = self._containment.run(command, self._limits.proof, folder=folder, reads=[self._package], alone=True)
        states = set(re.findall(r"^Status = (-?\d+) ", outcome.output, re.MULTILINE))
        equivalence: Equivalence | None = "different" if "0" in states else "proved" if "1" in states else None
        if equivalence is None:
            return undecided("effort" if outcome.end == "ended" else "limit")
        detail = _difference(outcome, _facts(folder).outputs) if equivalence == "different" else ""
        return Synthesis(reason=None, equivalence=equivalence, detail=detail)


def _rejected(is_read: bool, is_limit: bool, message: str) -> Synthesis:
    """Return the result for a design that Yosys does not read, or does not synthesize."""
    if is_limit:
        return Synthesis(reason="synthesis_limit")
    if "Latch inferred" in message:  # an error in always_comb
        return Synthesis(reason="inferred_latch", detail=message)
    return Synthesis(reason="synthesis_error" if is_read else "not_read", detail=message)


def _write(problem: Problem, design: str, text: str, folder: Path) -> None:
    """Write a design with the modules that it may use, and the data files of the problem."""
    files = {name: problem.files[name] for name in problem.context} | {ANSWER: text}
    for name, one in files.items():
        _write_file(folder / design / name, one)
    (folder / design / "sources.json").write_text(json.dumps(list(files)))
    for name in sorted(set(problem.files) - set(problem.sources)):
        _write_file(folder / name, problem.files[name])


def _write_file(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", errors="replace")


def _libraries() -> list[Path]:
    """Return what the interpreter needs besides its program."""
    library = Path(str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("INSTSONAME")))
    found = [Path(sysconfig.get_path("stdlib")).resolve()]
    return [*found, library] if sysconfig.get_config_var("Py_ENABLE_SHARED") else found


def _outside_system(paths: list[Path]) -> list[Path]:
    """Return the paths that are not visible to every contained program."""
    return [path for path in paths if not any(path.is_relative_to(folder) for folder in SYSTEM)]


def _facts(folder: Path) -> _Facts:
    """Return what the program has noted; it wrote nothing if it was stopped at once."""
    path = folder / "facts.json"
    text = path.read_bytes() if path.is_file() else b""
    return _Facts.model_validate_json(text) if text else _Facts()


def _message(folder: Path) -> str:
    """Return the error in the log of Yosys."""
    path = folder / "log.txt"
    text = path.read_bytes()[-4096:].decode("utf-8", "replace") if path.is_file() else ""
    found = re.findall(r"^(?:answer/)?(.*ERROR: ?.*)$", text, re.MULTILINE)
    return message_of(Outcome("ended", 0, found[-1] if found else ""))


def _difference(outcome: Outcome, outputs: Sequence[str]) -> str:
    """Return which output differs, and after how many steps."""
    found = re.search(r"^Output (\d+) of miter .* was asserted in frame (\d+)", outcome.output, re.MULTILINE)
    if found is None or not int(found[1]) < len(outputs):
        return ""
    return f"output {outputs[int(found[1])]}, step {int(found[2]) + 1}"
