"""Synthesis and equivalence: pairs of designs with known answers, and hostile texts."""

from dataclasses import replace
from pathlib import Path

import pytest

from tapeout.simulation.containment import MIB, Containment
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.problems.reading import read_problems
from tapeout.simulation.synthesis import SYNTHESIS_REASONS, UNDECIDED, Synthesis
from tapeout.simulation.verilator import Verilator
from tapeout.simulation.yosys import PROVE, SYNTHESIZE, Yosys, YosysLimits
from tests.simulation.toys import COUNTER, GOLDEN

pytestmark = pytest.mark.environment("rtl")
ROOT = Path(__file__).parents[2]
SHORT = YosysLimits(
    replace(SYNTHESIZE, cpu_seconds=3, memory_bytes=768 * MIB), replace(PROVE, cpu_seconds=1, memory_bytes=768 * MIB)
)
ADDER = "input [7:0] a, b, output [7:0] y"
CLOCKED = "input clk, rst, d, output logic q"
SELECTED = "input s, a, output y"
SUM = "assign y = a + b;"
FOLLOWS = "always_ff @(posedge clk) if (rst) q <= 0; else q <= d;"
RING = """logic [4:0] at;
  always_ff @(posedge clk) if (rst) at <= 1; else if (d) at <= {at[3:0], at[4]};
  assign q = at[4];"""
COUNT = """logic [2:0] count;
  always_ff @(posedge clk) if (rst) count <= 0; else if (d) count <= count == 4 ? 0 : count + 1;
  assign q = count == 4;"""
LATE = """logic [5:0] count;
  always_ff @(posedge clk) if (rst) count <= 0; else count <= count + 1;
  assign q = LAST;"""
MEMORY = """logic bits[0:3];
  logic [1:0] at;
  always_ff @(posedge clk) if (rst) at <= 0; else begin bits[at] <= d; at <= at + 1; end
  assign q = bits[at];"""
LARGE = """logic [7:0] m[0:1023];
  logic [9:0] at;
  always @(posedge clk) begin at <= rst ? 0 : at + 1; m[at] <= at + d; q <= m[at] == 3; end"""
TICKS = "always_ff @(posedge clk) q <= q + 1;"
WRONG = "always_ff @(posedge clk) if (rst && !d) q <= 0; else q <= d;"
FAKES = [
    "wire t; assign t = rst; assign t = 1'b0;",
    "wire t; assign t = rst; assign t = 1'bz;",
    "wire t; assign t = rst; assign t = 1'bx;",
    "wire t; assign t = rst; helper h(t);",
    "`ifdef SYNTHESIS\n  assign rst = 0;\n`endif",
    "// synopsys translate_off\n  wire t;\n// synopsys translate_on",
    "(* gclk *) logic g; logic u = 0; always @(posedge g) u <= 1;",
]
"""Lines beside a wrong design that once made it equal to the golden solution, by changing what this one reads."""
PAIRS = [
    (ADDER, SUM, "assign y = b + a;", "proved"),
    (ADDER, SUM, "assign y = a - ~b - 1;", "proved"),
    (ADDER, SUM, "assign y = {a, b} == 16'h1234 ? 0 : a + b;", "different"),
    (SELECTED, "assign y = s ? a : 1'bx;", "assign y = s && !a;", "different"),
    (CLOCKED, FOLLOWS, "logic n; always_ff @(posedge clk) n <= rst || !d; assign q = !n;", "proved"),
    (CLOCKED, FOLLOWS, FOLLOWS.replace("posedge clk", "posedge clk or posedge rst"), "different"),
    (CLOCKED, FOLLOWS, FOLLOWS.replace("posedge", "negedge"), "different"),
    (CLOCKED, FOLLOWS, "always_ff @(posedge clk) q <= d;", "different"),
    (CLOCKED, COUNT, RING, "proved"),
    (CLOCKED, COUNT, RING.replace("at[3:0]", "at[2:0]"), "different"),
    (CLOCKED, LATE.replace("LAST", "count == 40"), LATE.replace("LAST", "0"), "different"),
    (CLOCKED, MEMORY, MEMORY.replace("q = bits[at]", "q = bits[at] && !d"), "different"),
    ("input clk_a, clk_b, d, output logic q", TWO := "always @(posedge clk_b) q <= d;", TWO, "proved"),
    ("input clk_a, clk_b, d, output logic q", TWO, TWO.replace("clk_b", "clk_a"), "different"),
    ("input [3:0] i, input [8:0] a, output y", "assign y = a[i];", "assign y = a >> i;", "proved"),
    (SELECTED, "always_comb case (s) 0: y = a; 1: y = 1; endcase", "assign y = s | a;", "proved"),
    (SELECTED, "assign y = s;", "always_comb unique case (a) 0: y = s; default: y = s; endcase", "proved"),
    (CLOCKED, LATCH := "always_latch if (clk) q = d;", LATCH.replace("clk) q", "clk == 1) q"), "proved"),
]


def text_of(ports: str, body: str) -> str:
    return f"module top({ports});\n  {body}\nendmodule\n"


def problem(ports: str, golden: str) -> Problem:
    return Problem(**{**dict(COUNTER), "top": "top", "golden": text_of(ports, golden), "mutants": {}})


@pytest.fixture(scope="module")
def yosys(tmp_path_factory: pytest.TempPathFactory) -> Yosys:
    """Yosys with low limits, which only hostile texts reach."""
    containment = Containment()
    return Yosys(containment, Verilator(containment, tmp_path_factory.mktemp("runtime"), 1), SHORT)


@pytest.mark.parametrize(("ports", "golden", "answer", "expected"), PAIRS)
def test_pairs_with_known_answers(yosys: Yosys, ports: str, golden: str, answer: str, expected: str) -> None:
    found = yosys.judge(problem(ports, golden), text_of(ports, answer))
    assert (found.reason, found.equivalence) == (None, expected)
    assert found.detail.startswith(f"output {ports.split()[-1]}, step ") == (expected == "different")


@pytest.mark.parametrize("line", FAKES)
def test_a_wrong_design_is_never_proved(yosys: Yosys, line: str) -> None:
    helper = "module helper(output y); assign y = 1'b0; endmodule\n"
    found = yosys.judge(problem(CLOCKED, FOLLOWS), helper + text_of(CLOCKED, f"{line}\n  {WRONG}"))
    assert found.equivalence != "proved" and (found.reason or found.equivalence == "different")


@pytest.mark.parametrize("attribute", ["", "(* keep_hierarchy *)", "(* blackbox *)", "(* whitebox *)"])
@pytest.mark.parametrize("name", ["golden", "answer", "miter"])
def test_a_module_below_may_have_any_name_and_attribute(yosys: Yosys, attribute: str, name: str) -> None:
    for body, expected in ((FOLLOWS, "proved"), (WRONG, "different")):
        below = f"{attribute} module {name}({CLOCKED});\n  {body}\nendmodule\n"
        text = below + text_of(CLOCKED, f"{name} below(clk, rst, d, q);")
        assert yosys.judge(problem(CLOCKED, FOLLOWS), text).equivalence == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("assign q = ;", "not_read"),
        ("class c; endclass", "not_read"),
        ("missing one(clk);", "not_read"),
        ("assign q = d; assign q = rst;", "conflicting_drivers"),
        ("assign q = d; assign q = 1'b0;", "conflicting_drivers"),
        ("wire a; assign a = !(q && d); assign q = !a;", "combinational_loop"),
        ("always_comb if (d) q = 1;", "inferred_latch"),
        ("always @* if (d) q = rst;", "inferred_latch"),
        ("genvar i; for (i = 0; i < 1; i = i + 0) begin assign q = d; end", "synthesis_limit"),
        ("function f(input x); while (1) f = x; endfunction localparam P = f(1); assign q = P;", "synthesis_limit"),
        ("logic [8000000:0] bits; always @(posedge clk) bits <= bits * ~bits; assign q = bits[d];", "synthesis_limit"),
    ],
)
def test_texts_that_do_not_synthesize(yosys: Yosys, body: str, reason: str) -> None:
    found = yosys.judge(problem(CLOCKED, FOLLOWS), text_of(CLOCKED, body))
    assert (found.reason, found.equivalence) == (reason, None)
    assert reason in SYNTHESIS_REASONS


@pytest.mark.parametrize(
    ("ports", "golden", "answer", "reason"),
    [
        (CLOCKED, FOLLOWS, "", "other_ports"),
        ("input a, inout y", "assign y = a;", "assign y = a;", "other_ports"),
        (CLOCKED, FOLLOWS, LARGE, "too_large"),
        (SELECTED, "assign y = s ? a : 1'bx;", "assign y = a;", "undefined"),
        (CLOCKED, MEMORY, MEMORY + "\n  initial bits = '{1, 1, 1, 1};", "undefined"),
        ("input clk, output logic [7:0] q", TICKS, TICKS.replace("q + 1", "q == 200 ? 7 : q + 1"), "undefined"),
        ("input [15:0] a, b, output [31:0] y", "assign y = a * b;", "assign y = b * a;", "limit"),
    ],
)
def test_comparisons_without_an_outcome(yosys: Yosys, ports: str, golden: str, answer: str, reason: str) -> None:
    text = text_of(ports, answer) if answer else "module top(input clk, rst, output q); assign q = clk; endmodule\n"
    found = yosys.judge(problem(ports, golden), text)
    assert (found.reason, found.equivalence, found.undecided) == (None, "undecided", reason)
    assert reason in UNDECIDED


def test_a_design_uses_the_context_and_the_data_of_its_problem(yosys: Yosys) -> None:
    helper = "module helper(input a, output y); assign y = a; endmodule\n"
    golden = text_of(SELECTED, 'logic t[0:0]; initial $readmemh("t.hex", t); helper h(s && a && t[0], y);')
    values = {**dict(problem(SELECTED, "")), "golden": golden, "context": ("parts/help me.sv",)}
    files = {"parts/help me.sv": helper, "t.hex": "1\n", **COUNTER.files}
    found = Problem(**{**values, "files": files, "sources": ("parts/help me.sv", "bench.sv")})
    assert yosys.judge(found, text_of(SELECTED, "helper h(s & a, y);")) == Synthesis(reason=None, equivalence="proved")


@pytest.mark.parametrize("path", ["/etc/passwd", str(ROOT / "README.md")])
def test_files_of_the_host_are_out_of_reach(yosys: Yosys, path: str) -> None:
    body = f'logic [7:0] m[0:3]; initial $readmemh("{path}", m); assign q = m[0][d];'
    found = yosys.judge(problem(CLOCKED, FOLLOWS), text_of(CLOCKED, body))
    assert found.reason == "not_read" and "pen" in found.detail
    assert yosys.judge(problem(CLOCKED, FOLLOWS), text_of(CLOCKED, f'`include "{path}"')).reason == "not_read"


def test_golden_solutions_are_never_refuted_and_their_mutants_are(yosys: Yosys) -> None:
    names = {"alu8": "proved", "sync_fifo": "proved", "pulse_synchronizer": "proved", "byte_ram": "undecided"}
    problems = {one.name: one for one in read_problems(ROOT / "config" / "rtl_problems", "folder")}
    for name, expected in names.items():
        one = problems[name]
        assert yosys.judge(one, one.golden).equivalence == expected
        if expected == "proved":
            assert yosys.judge(one, one.mutants[min(one.mutants)]).equivalence == "different"


def test_the_outcome_of_the_toys(yosys: Yosys) -> None:
    assert yosys.judge(COUNTER, COUNTER.mutants["same"]).proved
    different = Synthesis(reason=None, equivalence="different", detail="output q, step 2")
    assert yosys.judge(COUNTER, GOLDEN.replace("q + 1", "q + 2")) == different
    assert (yosys.name, yosys.version, len(yosys.digest)) == ("Yosys", "0.70", 64)
