"""Golden solutions and mutants of a problem set, judged before any model."""

import runpy
from pathlib import Path

import pytest

from tapeout.config.rtl_problems import CheckedJob, ProblemSet
from tapeout.program import StepFailed
from tapeout.simulation.checked import check, read_checked
from tapeout.simulation.containment import Containment
from tapeout.simulation.icarus import Icarus, installed_version
from tapeout.simulation.problem_set import UnusableFile, read_lines, write_lines
from tapeout.simulation.synthesis import Synthesis
from tapeout.simulation.verilator import Verilator
from tapeout.simulation.yosys import Yosys
from tests.simulation.toys import COUNTER, GOLDEN

pytestmark = pytest.mark.environment("rtl")
ROOT = Path(__file__).parents[2]
PROBLEMS = [
    COUNTER,
    COUNTER.model_copy(update={"name": "wrong", "golden": GOLDEN.replace("q + 1", "q"), "mutants": {}}),
    COUNTER.model_copy(update={"name": "foreign", "unusable": "Its test bench is in VHDL."}),
]


def test_a_set_is_checked_and_read_again(verilator: Verilator, tmp_path: Path) -> None:
    version = installed_version()
    icarus = Icarus(Containment(), version) if version else None
    steps: list[tuple[int, int]] = []
    found = check(
        PROBLEMS, verilator, icarus, Yosys(Containment(), verilator), 2, "namespaces", 2, lambda *one: steps.append(one)
    )
    usable, wrong, foreign = found.problems
    assert (usable.unusable, usable.mutants, usable.survivors) == ("", 2, ("same",))
    assert wrong.unusable == "The golden solution fails: wrong_output (FAIL 37 wrong values)."
    assert (foreign.unusable, foreign.mutants) == ("Its test bench is in VHDL.", 0)
    assert found.simulator.name == "Verilator" and len(found.simulator.digest) == 64
    assert (found.compared, found.disagreements) == (4 if icarus else 0, [])
    assert found.synthesizer is not None and found.synthesizer.name == "Yosys"
    assert found.syntheses == {"counter": Synthesis(reason=None, equivalence="proved")}
    assert found.synthesized == {"counter"}
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    write_lines(tmp_path / "checked.json", [found])
    write_lines(tmp_path / "problems.jsonl", PROBLEMS)
    assert read_checked(tmp_path / "checked.json") == found
    assert read_lines(tmp_path / "problems.jsonl") == PROBLEMS


def test_another_version_of_the_second_simulator_is_a_named_error(tmp_path: Path) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / "checked.py"))["main"].__wrapped__
    job = CheckedJob(max_mutants=1, icarus="0.1", synthesis=False, permit_no_isolation=False)
    with pytest.raises(StepFailed, match=r"asks for Icarus Verilog 0\.1, and this machine has (none|[1-9]\S*)\."):
        main(job, tmp_path, tmp_path / "checked.json", 1)
    assert not (tmp_path / "checked.json").exists()


@pytest.mark.parametrize("synthesis", [True, False])
def test_the_configuration_decides_whether_designs_are_synthesized(tmp_path: Path, synthesis: bool) -> None:
    problems = tmp_path / "problems"
    problems.mkdir()
    write_lines(problems / "problems.jsonl", [PROBLEMS[-1]])
    main = runpy.run_path(str(ROOT / "scripts" / "checked.py"))["main"].__wrapped__
    job = ProblemSet(synthesis=synthesis).checked_job(permit_no_isolation=False)
    main(job, problems / "problems.jsonl", tmp_path / "checked.json", 1)
    assert (read_checked(tmp_path / "checked.json").synthesizer is not None) == synthesis


def test_as_many_mutants_are_tried_as_the_configuration_says(verilator: Verilator) -> None:
    found = check([COUNTER], verilator, None, None, 1, "namespaces", 1, lambda done, total: None)
    assert [(problem.mutants, problem.survivors) for problem in found.problems] == [(1, ("same",))]
    assert (found.second, found.compared, found.synthesizer, found.syntheses) == (None, 0, None, {})


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}\n")
    with pytest.raises(UnusableFile, match="other cannot be used"):
        read_checked(tmp_path / "other")
    with pytest.raises(UnusableFile, match="missing cannot be used"):
        read_lines(tmp_path / "missing")
