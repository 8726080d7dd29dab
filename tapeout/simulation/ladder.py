"""Judge a source text: how far it gets, and the one reason why it gets no further."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from tapeout.simulation.containment import End, Outcome
from tapeout.simulation.extraction import declares
from tapeout.simulation.forbidden import forbidden
from tapeout.simulation.problems.problem import ANSWER, BOUNDARY, Problem
from tapeout.simulation.simulator import Simulated, Simulator, message_of
from tapeout.simulation.verilator import Verilator, unsupported

Rung = Literal["nothing", "extracted", "parses", "elaborates", "simulates", "passes"]
RUNGS: tuple[Rung, ...] = get_args(Rung)
"""Steps of the ladder, from bottom to top."""
Reason = Literal[
    "no_room",
    "no_code",
    "forbidden",
    "syntax_error",
    "wrong_module",
    "elaboration_error",
    "unsupported",
    "interface_mismatch",
    "compiler_limit",
    "compiler_error",
    "time_limit",
    "memory_limit",
    "output_limit",
    "file_limit",
    "process_limit",
    "crash",
    "no_verdict",
    "disputed_verdict",
    "wrong_output",
]
REASONS: Mapping[Reason, str] = {
    "no_room": "prompt and answer exceed the model's context",
    "no_code": "the answer contains no module",
    "forbidden": "the design reaches files, programs or the test bench, or ends the simulation",
    "syntax_error": "the source text does not parse",
    "wrong_module": "no module has the name that was asked for",
    "elaboration_error": "names, types or widths do not resolve",
    "unsupported": "the simulator does not support a construct",
    "interface_mismatch": "ports or parameters differ from what the test bench connects",
    "compiler_limit": "compiling exceeds its limits of time, memory or output",
    "compiler_error": "the compiler fails on what the simulator made of the design",
    "time_limit": "the simulation does not end within its time",
    "memory_limit": "the simulation needs more memory than permitted",
    "output_limit": "the simulation prints more than permitted",
    "file_limit": "the simulation writes a larger file than permitted",
    "process_limit": "the simulation starts another process",
    "crash": "the simulation ends with an error",
    "no_verdict": "the test bench reports neither success nor failure",
    "disputed_verdict": "success is reported more than once, or together with a failure",
    "wrong_output": "the test bench reports a failure",
}
"""Closed list of reasons, one per attempt that does not pass."""
LIMITS: Mapping[End, Reason] = {
    "time": "time_limit",
    "memory": "memory_limit",
    "output": "output_limit",
    "file": "file_limit",
    "process": "process_limit",
    "crash": "crash",
    "ended": "crash",
}
BEGINNING = "beginning_of_the_answer"
"""Text that stands before the answer when sources are preprocessed; the first one counts."""


class Judgement(BaseModel):
    """Highest step that a source text reached, and the reason of its failure.

    Attributes:
        rung: the highest step that it reached.
        reason: why it got no further; None if it passes.
        detail: the first message about it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rung: Rung
    reason: Reason | None
    detail: str = ""

    @property
    def passes(self) -> bool:
        """True if the design passes its test bench."""
        return self.rung == "passes"

    def reaches(self, rung: Rung) -> bool:
        """Return whether the source text got at least this far."""
        return RUNGS.index(self.rung) >= RUNGS.index(rung)


NO_CODE = Judgement(rung="nothing", reason="no_code")


def judge(problem: Problem, text: str, verilator: Verilator) -> Judgement:
    """Judge a source text with Verilator.

    Args:
        problem: the problem, which must be usable.
        text: extracted source text; an empty one is an answer without code.
        verilator: the simulator.
    """
    if not text:
        return NO_CODE
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        outcome, expanded = expand(problem, text, verilator, folder)
        sources = [*problem.sources, ANSWER]
        data = _data(problem, folder)
        construct = forbidden(text, expanded, problem.hidden, data)
        if construct:
            return Judgement(rung="extracted", reason="forbidden", detail=construct)
        if outcome.succeeded:
            outcome = verilator.parse(folder, sources)
        if not outcome.succeeded:
            return _rejected("extracted", "syntax_error", outcome)
        if not declares(expanded, problem.top):
            return Judgement(rung="parses", reason="wrong_module", detail=f"no module {problem.top}")
        outcome = verilator.elaborate(folder, sources, problem.top)
        if not outcome.succeeded:
            return _rejected("parses", "elaboration_error", outcome)
        return _simulated(problem, verilator.simulate(folder, sources, problem.bench, data))


def simulate(problem: Problem, text: str, simulator: Simulator) -> Judgement:
    """Compile and simulate a source text without the lower steps of the ladder, to compare another simulator."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = write_files(problem, text, folder)
        return _simulated(problem, simulator.simulate(folder, sources, problem.bench, _data(problem, folder)))


def write_files(problem: Problem, text: str, folder: Path) -> list[str]:
    """Write a source text with the files of its problem; return the sources in the order of compilation.

    The answer is the last one, so that its macros have no effect on the test bench. Those of the test bench have an
    effect on the answer, so both are preprocessed together.
    """
    for name, content in {**problem.files, ANSWER: text}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="replace")
    return [*problem.sources, ANSWER]


def expand(problem: Problem, text: str, verilator: Verilator, folder: Path) -> tuple[Outcome, str]:
    """Write a source text with the files of its problem; return how preprocessing ends, and the text without macros."""
    write_files(problem, text, folder)
    (folder / BOUNDARY).write_text(f"{BEGINNING}\n")
    outcome = verilator.preprocess(folder, [*problem.sources, BOUNDARY, ANSWER])
    return outcome, outcome.output.partition(BEGINNING)[2]


def _data(problem: Problem, folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in sorted(set(problem.files) - set(problem.sources))}


def _rejected(rung: Rung, reason: Reason, outcome: Outcome) -> Judgement:
    """Return the judgement on a source text that the simulator does not accept."""
    if outcome.end != "ended":
        reason = "compiler_limit" if outcome.end != "crash" else "compiler_error"
    elif unsupported(outcome):
        reason = "unsupported"
    return Judgement(rung=rung, reason=reason, detail=message_of(outcome))


def _simulated(problem: Problem, simulated: Simulated) -> Judgement:
    outcome = simulated.outcome
    if simulated.stage == "elaborate":
        return _rejected("elaborates", "interface_mismatch", outcome)
    if simulated.stage == "compile":
        return _rejected(
            "elaborates", "compiler_error", replace(outcome, output="")
        )  # words of this machine's compiler
    if not outcome.succeeded:
        return Judgement(rung="elaborates", reason=LIMITS[outcome.end], detail=message_of(outcome))
    if problem.verdict.passes(outcome.output):
        return Judgement(rung="passes", reason=None)
    successes, failures = problem.verdict.reports(outcome.output)
    if successes:
        return Judgement(rung="simulates", reason="disputed_verdict", detail=f"{len(successes)} reports of success")
    if failures:
        return Judgement(rung="simulates", reason="wrong_output", detail=_short(failures[0]))
    return Judgement(rung="simulates", reason="no_verdict", detail=message_of(outcome))


def _short(line: str) -> str:
    return message_of(Outcome("ended", 0, line))
