r"""Answers that are code are legal Verilog for a parser, and name what was meant, whatever the names are.

The parser is called directly here: an escaped identifier is its name without ``\`` and the closing blank.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyslang.syntax import SyntaxTree

from tapeout.data.instructions.row import clean
from tapeout.data.rtl.excerpts import cut
from tapeout.data.rtl.facts import read_facts
from tapeout.data.rtl.questions import Question, ask

pytestmark = pytest.mark.environment("data")

ODD = [
    "bus[3]",
    "q~",
    "1dff",
    "$paramod\\fifo\\DEPTH=8",
    "a//b",
    "/*",
    "*/",
    "a,b",
    "x);",
    '"s"',
    "module",
    "logic",
]
NAMES = st.sampled_from([*(f"\\{name} " for name in [*ODD, "clk"]), "clk_i", "d", "Q$1"])
IN_WORDS = {"module_name", "list_ports", "port_direction", "signal_width", "parameter_default", "instantiated_modules"}


def asked(text: str) -> tuple[list[Question], Counter[str]]:
    dropped = Counter[str]()
    excerpts = [(excerpt, read_facts(excerpt)) for excerpt in cut(text, 2000, 4)]
    questions = [row for excerpt, facts in excerpts if facts is not None for row in ask(excerpt, facts, dropped)]
    assert all(clean(part) == part for row in questions for part in (row.instruction, row.context, row.response))
    return questions, dropped


def parsed(code: str) -> Any:
    """Return the one module of a text that must be legal."""
    tree = SyntaxTree.fromText(code)
    assert not len(tree.diagnostics), code
    root: Any = tree.root
    assert hasattr(root, "header"), code
    return root


def name_of(name: str) -> str:
    return name.removeprefix("\\").rstrip()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    NAMES, st.lists(NAMES, min_size=1, max_size=4, unique_by=name_of), st.integers(0, 2), st.sampled_from([", ", ",\n"])
)
def test_odd_names_give_legal_answers(module: str, ports: list[str], high: int, comma: str) -> None:
    span = f"[{high}:0] " if high else ""
    declared = comma.join(
        f"{direction} {span}{name}" for direction, name in zip(["input", "output"] * 2, ports, strict=False)
    )
    body = "".join(f"  wire {span}{name};\n" for name in ports)
    questions, dropped = asked(f"module {module}({declared});\nendmodule\nmodule m;\n{body}endmodule\n")
    headers = [row for row in questions if row.category == "module_header"]
    assert len(headers) == 1 and set(dropped) <= {"question in words about an escaped identifier"}
    header = parsed(f"{headers[0].response}\nendmodule\n").header
    assert header.name.valueText == name_of(module)
    listed = [port for port in header.ports.ports if hasattr(port, "declarator")]
    assert [port.declarator.name.valueText for port in listed] == list(map(name_of, ports))
    assert [port.header.direction.valueText for port in listed] == (["input", "output"] * 2)[: len(ports)]
    assert {" ".join(str(port.header.dataType).split()) for port in listed} == {span.strip()}
    (end,) = [row for row in questions if row.category == "complete_declaration"]
    *_, last = parsed(f"module m;\n{end.context} {end.response}\nendmodule\n").members
    assert [declarator.name.valueText for declarator in last.declarators] == [name_of(ports[-1])]
    words = [row.instruction + row.response for row in questions if row.category in IN_WORDS]
    assert not any("\\" in text for text in words)


@pytest.mark.parametrize(
    "text",
    [
        "module m (input a, input bit, output do);\nendmodule",  # names in Verilog, keywords in SystemVerilog
        "module m (input a,\n`ifdef X\n input b,\n`endif\n input c);\nendmodule",
        "`define N \\odd[0] \nmodule `N (input a, output [1:0] b);\nendmodule",
        "`define W [3:0]\nmodule m (input `W a);\nendmodule",
        "`default_nettype none\n(* top *) module m\n(input wire a, (* keep *) output logic signed [W:0] b);\nendmodule",
        "module m (\\bus.if \\my.port , my_if.host h, input logic [1:0][3:0] c, input d [2]);\nendmodule",
        "module m (\\a[0] , b, .\\c~ (d));\n input \\a[0] , b;\n output [\\W -1:0] d;\nendmodule",
        'module m #(parameter \\W[0] = 3, S = "a\\n", T = \\W[0] , type \\t = logic)(input [\\W[0] :0] a);endmodule',
        "module m;\n\\a.b #(.\\P (1)) \\u[0] (.\\x (y));\n\\c~ u (.*);\nendmodule",
        "module m(output reg \\q~ = 1'b0, input tri0 [0:7] \\r );\nwire signed [7:0] \\s ;\nendmodule",
        "module \\é (input \\é , output ü);\nwire \\é ;\nendmodule\nmodule m (input a, \\é );\nendmodule",
        "module \\a /* c */ (input /* d */ \\b // e\n, output c);\nendmodule",
    ],
)
def test_every_answer_in_code_is_legal(text: str) -> None:
    for row in asked(text)[0]:
        match row.category:
            case "module_header":
                parsed(f"{row.response}\nendmodule\n")
            case "complete_declaration":
                parsed(f"module m;\n{row.context} {row.response}\nendmodule\n")
            case "parameter_default":
                parsed(f"module m;\nlocalparam x = {row.response};\nendmodule\n")
            case "signal_width" if row.response.startswith("["):
                parsed(f"module m;\nwire {row.response} x;\nendmodule\n")
            case "module_name" | "list_ports" | "instantiated_modules":
                parsed(f"module m;\nwire {row.response};\nendmodule\n")


def test_a_header_with_two_ports_of_one_name_is_no_answer() -> None:
    questions, _ = asked("module m(input a, input a);\nendmodule\n")
    assert "module_header" not in {question.category for question in questions}


def test_an_answer_that_needs_its_surroundings_is_counted() -> None:
    questions, dropped = asked("module m;\nparameter P = \\W ;\nendmodule\n")
    assert questions == [] and dropped == {"question whose answer is not legal Verilog": 1}


@pytest.mark.parametrize(
    ("code", "legal"),
    [
        ("module m(input wire reg a);", False),
        ("module m(output tri bit [3:0] a, input b);", False),
        ("module m(input wire real a);", False),
        ("module m(input wire logic a, inout reg b, output reg c);", True),
        ("module m(input a, output a);", False),
        ("module m(a, a); input a;", True),
        ("module m; wire [3:0] a; reg [3:0] a;", False),
        ("module m; a u(); wire u;", False),
        ("module m #(parameter A = 1, A = 2)(input x);", False),
        ("module m(a); output [3:0] a; reg [3:0] a; wire b;", True),
    ],
)
def test_nothing_is_asked_about_declarations_that_no_compiler_accepts(code: str, legal: bool) -> None:
    questions, _ = asked(f"{code}\nendmodule\n")
    assert bool(questions) == legal
