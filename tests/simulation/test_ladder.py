"""The ladder with Verilator: each step and reason, and hostile programs."""

from pathlib import Path

import pytest

from tapeout.simulation.containment import Containment
from tapeout.simulation.ladder import REASONS, Judgement, judge, simulate
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.verilator import Verilator
from tests.simulation.toys import BENCH, COUNTER, GOLDEN, HEADER

pytestmark = pytest.mark.environment("rtl")
HOSTILE = sorted(Path(__file__).with_name("hostile").glob("*.sv"))


def test_a_golden_solution_passes_and_a_mutant_fails(verilator: Verilator) -> None:
    assert judge(COUNTER, GOLDEN, verilator) == Judgement(rung="passes", reason=None)
    wrong = judge(COUNTER, COUNTER.mutants["steps_of_two"], verilator)
    assert (wrong.rung, wrong.reason, wrong.detail) == ("simulates", "wrong_output", "FAIL 37 wrong values")


@pytest.mark.parametrize(
    ("text", "rung", "reason", "detail"),
    [
        ("", "nothing", "no_code", ""),
        (f"{HEADER}\n  assign q = ;\nendmodule\n", "extracted", "syntax_error", "%Error: answer.sv:2:14: syntax error"),
        (GOLDEN.replace("module counter", "module count"), "parses", "wrong_module", "no module counter"),
        (GOLDEN.replace("q + 1", "r + 1"), "parses", "elaboration_error", "%Error: answer.sv:2:55: Can't find defini"),
        (
            GOLDEN.replace("rst,", "reset,").replace("(rst)", "(reset)"),
            "elaborates",
            "interface_mismatch",
            "%Error-PINNOTFOUND: bench.sv:5:28: Pin not found: 'rst'",
        ),
    ],
)
def test_each_step_has_its_reasons(verilator: Verilator, text: str, rung: str, reason: str, detail: str) -> None:
    judgement = judge(COUNTER, text, verilator)
    assert (judgement.rung, judgement.reason) == (rung, reason)
    assert judgement.detail.startswith(detail)


def test_a_bench_without_a_verdict(verilator: Verilator) -> None:
    silent = COUNTER.model_copy(update={"files": {"bench.sv": BENCH.replace("PASS", "DONE")}})
    assert judge(silent, GOLDEN, verilator).reason == "no_verdict"


def test_a_design_reads_the_files_of_its_problem(verilator: Verilator) -> None:
    text = GOLDEN.replace(
        "always_ff", 'logic [3:0] step [0:0];\n  initial $readmemh("step.hex", step);\n  always_ff'
    ).replace("q + 1", "q + step[0]")
    problem = Problem(**{**dict(COUNTER), "files": {**COUNTER.files, "step.hex": "1\n"}})
    assert judge(problem, text, verilator).passes


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_hostile_programs_are_contained_and_reported(verilator: Verilator, path: Path) -> None:
    text = path.read_text()
    judgement = judge(COUNTER, text, verilator)
    assert judgement.reason == text.splitlines()[0].removeprefix("// ")
    assert judgement.reason in REASONS and not judgement.passes


def test_there_are_twenty_hostile_programs() -> None:
    assert len(HOSTILE) >= 20


INLINE = GOLDEN.replace("endmodule", '  initial $c("COMMAND");\nendmodule')


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (r"::system(\"touch owned\");", "process_limit"),
        (r"::fopen(\"TARGET\", \"w\") ? ::puts(\"FAIL\") : ::puts(\"PASS\");", "disputed_verdict"),
    ],
)
def test_native_code_is_contained_when_the_check_of_constructs_is_left_out(
    verilator: Verilator, tmp_path: Path, command: str, reason: str
) -> None:
    target = tmp_path / "owned"
    text = INLINE.replace("COMMAND", command.replace("TARGET", str(target)))
    assert simulate(COUNTER, text, verilator).reason == reason
    assert not target.exists()


def test_isolation_is_reported() -> None:
    assert Containment().isolation.startswith("namespaces")
