"""Check a problem set before any model is judged by it: golden solutions must pass, and mutants must fail."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from tapeout.simulation.extraction import rule_digest
from tapeout.simulation.icarus import Icarus
from tapeout.simulation.ladder import Judgement, judge, simulate
from tapeout.simulation.problem_set import CheckedProblem, Form, unusable_file
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.simulator import Simulator
from tapeout.simulation.synthesis import Synthesis
from tapeout.simulation.verilator import Verilator
from tapeout.simulation.yosys import Yosys

GOLDEN = "golden"
"""Name of the golden solution among the designs of a problem."""


class SimulatorFacts(Form):
    """A simulator or synthesizer beside a score."""

    name: str
    version: str
    digest: str
    flags: tuple[str, ...]

    @classmethod
    def of(cls, simulator: Simulator | Yosys) -> "SimulatorFacts":
        """Return the facts of a simulator or synthesizer."""
        return cls(name=simulator.name, version=simulator.version, digest=simulator.digest, flags=simulator.flags)


class Disagreement(Form):
    """A design on which two simulators reach different verdicts.

    Attributes:
        design: ``golden``, or the name of a mutant.
        first, second: what each simulator found.
    """

    problem: str
    design: str
    first: Judgement
    second: Judgement


class CheckedSet(Form):
    """A problem set after the check.

    Attributes:
        simulator: the one that judges.
        second: another one with which verdicts were compared; None if there was none.
        compared: designs that both simulators judged.
        isolation: how programs were isolated.
        synthesizer: what synthesizes designs; None if none does.
        syntheses: for each usable problem, synthesis of the golden solution and its comparison with itself.
    """

    problems: list[CheckedProblem]
    simulator: SimulatorFacts
    second: SimulatorFacts | None
    compared: int
    disagreements: list[Disagreement]
    isolation: str
    extraction_rule: str
    synthesizer: SimulatorFacts | None
    syntheses: dict[str, Synthesis]

    @property
    def synthesized(self) -> set[str]:
        """Names of the problems whose golden solution synthesizes: only their designs are judged so."""
        return {name for name, synthesis in self.syntheses.items() if synthesis.synthesizes}


def check(
    problems: Sequence[Problem],
    verilator: Verilator,
    icarus: Icarus | None,
    yosys: Yosys | None,
    max_mutants: int,
    isolation: str,
    threads: int,
    progress: Callable[[int, int], None],
) -> CheckedSet:
    """Judge the golden solution and mutants of each problem.

    Args:
        problems: the problem set.
        verilator: the simulator that judges.
        icarus: another one for comparison.
        yosys: the synthesizer of golden solutions; None for no syntheses.
        max_mutants: mutants of each problem that are judged, in the order of their names.
        isolation: how programs are isolated, for the record.
        threads: designs that are judged at once.
        progress: called with the number of finished designs, and of all.
    """
    designs = [
        (problem, name, text)
        for problem in problems
        if not problem.unusable
        for name, text in [(GOLDEN, problem.golden), *sorted(problem.mutants.items())[:max_mutants]]
    ]

    def judged(design: tuple[Problem, str, str]) -> tuple[Judgement, Judgement | None]:
        problem, _, text = design
        return judge(problem, text, verilator), simulate(problem, text, icarus) if icarus else None

    first: dict[tuple[str, str], Judgement] = {}
    disagreements = []
    syntheses: dict[str, Synthesis] = {}
    with ThreadPoolExecutor(threads) as pool:
        for (problem, name, _), (one, other) in zip(designs, pool.map(judged, designs), strict=True):
            first[problem.name, name] = one
            if other is not None and one.passes != other.passes:
                disagreements.append(Disagreement(problem=problem.name, design=name, first=one, second=other))
            progress(len(first), len(designs))
        if yosys is not None:
            usable = [problem for problem in problems if not problem.unusable and first[problem.name, GOLDEN].passes]
            found = pool.map(lambda problem: yosys.judge(problem, problem.golden), usable)
            syntheses = {problem.name: one for problem, one in zip(usable, found, strict=True)}
    return CheckedSet(
        problems=[_checked(problem, first) for problem in problems],
        simulator=SimulatorFacts.of(verilator),
        second=SimulatorFacts.of(icarus) if icarus else None,
        compared=len(designs) if icarus else 0,
        disagreements=disagreements,
        isolation=isolation,
        extraction_rule=rule_digest(),
        synthesizer=SimulatorFacts.of(yosys) if yosys else None,
        syntheses=syntheses,
    )


def _checked(problem: Problem, judgements: dict[tuple[str, str], Judgement]) -> CheckedProblem:
    unusable = problem.unusable
    if not unusable and not (golden := judgements[problem.name, GOLDEN]).passes:
        detail = f" ({golden.detail})" if golden.detail else ""
        unusable = f"The golden solution fails: {golden.reason}{detail}."
    mutants = [name for name in sorted(problem.mutants) if (problem.name, name) in judgements]
    return CheckedProblem(
        name=problem.name,
        digest=problem.digest,
        unusable=unusable,
        mutants=len(mutants),
        survivors=tuple(name for name in mutants if judgements[problem.name, name].passes),
    )


def read_checked(path: Path) -> CheckedSet:
    """Read what ``check`` found.

    Raises:
        UnusableFile: the file is missing or not such a record.
    """
    try:
        return CheckedSet.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise unusable_file(path, error) from error
