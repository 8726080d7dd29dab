"""Excerpts, facts and questions: against generated modules with known facts, and for special cases."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.data.io.comments import skeleton, strip_comments
from tapeout.data.rtl.excerpts import Excerpt, Shape, cut
from tapeout.data.rtl.facts import Facts, read_facts
from tapeout.data.rtl.questions import Question
from tapeout.data.rtl.questions import ask as ask_counted
from tests.data.rtl.second_opinion import opinion

pytestmark = pytest.mark.environment("data")

NAMES = st.sampled_from(["clk_i", "rst_ni", "data", "q_o", "Addr", "sel_q", "x$1", "_tmp", "valid", "ready", "mem_n"])


def ask(excerpt: Excerpt, facts: Facts) -> list[Question]:
    dropped = Counter[str]()
    asked = list(ask_counted(excerpt, facts, dropped))
    assert not dropped
    return asked


@dataclass(frozen=True)
class Port:
    """Facts about one generated port, and its source text."""

    name: str
    direction: str
    bits: int | None
    range: str
    written: str


@st.composite
def ports(draw: st.DrawFn) -> list[Port]:
    """Draw ports with explicit or inherited directions and types, and numbers or symbols in their ranges."""
    listed: list[Port] = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        if listed and draw(st.booleans()):
            last = listed[-1]
            listed.append(Port(name, last.direction, last.bits, last.range, name))
            continue
        direction = draw(st.sampled_from(["input", "output", "inout"]))
        kind = "wire" if direction == "inout" else draw(st.sampled_from(["", "wire", "logic", "logic signed"]))
        high = draw(st.none() | st.integers(0, 63))
        symbol = draw(st.sampled_from(["", "W-1", "$clog2(N)-1"])) if high is None else str(high)
        low = draw(st.sampled_from(["0", "1"])) if symbol else ""
        gap = draw(st.sampled_from(["", " "]))
        written = f"[{symbol}{gap}:{low}]" if symbol else ""
        bits = 1 if not symbol else abs(high - int(low)) + 1 if high is not None else None
        span = f"[{high}:{low}]" if high is not None else written
        parts = [direction, kind, written, name]
        listed.append(Port(name, direction, bits, span, " ".join(part for part in parts if part)))
    return listed


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ports(), st.sampled_from([",\n  ", " // next\n  , ", ",", " /* a */ ,\n"]))
def test_facts_of_generated_headers(listed: list[Port], comma: str) -> None:
    text = f"// {listed[0].name}\nmodule m (\n  {comma.join(port.written for port in listed)}\n);\nendmodule\n"
    (excerpt,) = cut(text, 2000, 4)
    facts = read_facts(excerpt)
    assert facts is not None
    assert facts.ports == [port.name for port in listed]
    assert facts.directions == {port.name: port.direction for port in listed}
    assert {name: signal.bits for name, signal in facts.signals.items()} == {port.name: port.bits for port in listed}
    assert {name: signal.range for name, signal in facts.signals.items()} == {port.name: port.range for port in listed}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ports())
def test_answers_about_headers_have_the_same_facts(listed: list[Port]) -> None:
    facts = facts_of(f"module m ({', '.join(port.written for port in listed)});")
    (row,) = [row for row in ask(Excerpt("", Shape.HEADER, "m"), facts) if row.category == "module_header"]
    again = facts_of(row.response)
    assert again.signals == facts.signals
    assert again.ports == facts.ports


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ports())
def test_answers_agree_with_regular_expressions(listed: list[Port]) -> None:
    text = f"module m (\n{', '.join(port.written for port in listed)});\nendmodule\n"
    for characters in (2000, max(30, len(text) // 2)):
        for excerpt in cut(text, characters, 3):
            facts = read_facts(excerpt)
            assert facts is not None
            for question in ask(excerpt, facts):
                second = opinion(vars(question))
                assert second is None or second == "".join(question.response.split())


def facts_of(text: str, shape: Shape = Shape.HEADER) -> Facts:
    facts = read_facts(Excerpt(text, shape, "m"))
    assert facts is not None
    return facts


def test_unsupported_ports_have_no_signals() -> None:
    facts = facts_of(
        "module m (my_if.host bus, other, input state_t s, t, input logic [3:0] a [2], input logic [1:0][3:0] b, c,"
        " input var logic d, output e = 1'b0, input f, .g(f), h);"
    )
    assert facts.ports == ["bus", "other", "s", "t", "a", "b", "c", "d", "e", "f", "g", "h"]
    assert set(facts.signals) == {"f"}
    assert "bus" not in facts.directions
    assert "other" not in facts.directions
    assert facts.directions["t"] == "input"
    assert not facts.bare


@pytest.mark.parametrize(
    ("ports", "names"), [("a, .b(c), d", ["a", "b", "d"]), (".b({c, d})", ["b"]), (".*", []), ("a[1:0], b", [])]
)
def test_ports_of_other_headers(ports: str, names: list[str]) -> None:
    facts = facts_of(f"module m ({ports});")
    assert facts.ports == names and not facts.signals


def test_old_style_headers() -> None:
    excerpts = list(cut("module old(a, b);\n input a;\n output [3:0] b;\n reg [3:0] b;\n reg c;\nendmodule", 200, 6))
    assert [excerpt.shape for excerpt in excerpts] == [Shape.HEADER, Shape.ITEMS]
    header, body = map(read_facts, excerpts)
    assert header is not None
    assert header.ports == ["a", "b"]
    assert header.directions == {}
    assert body is not None
    assert body.directions == {"a": "input", "b": "output"}
    assert {name: signal.bits for name, signal in body.signals.items()} == {"a": 1, "b": 4, "c": 1}


def test_contradicting_declarations_are_left_out() -> None:
    assert set(facts_of("output q;\nreg [3:0] q;\nreg r;", Shape.ITEMS).signals) == {"r"}


def test_parameters_and_instances() -> None:
    facts = facts_of(
        "localparam A = 8'h1F, B = A + 1;\nparameter type T = logic;\nfifo #(.D(2)) a (.*);\nalu b (), c ();\n"
        "fifo d (x);\nlogic [A-1:0] last;",
        Shape.ITEMS,
    )
    assert facts.parameters == {"A": "8'h1F", "B": "A + 1"}
    assert facts.instances == ["fifo", "alu"]
    assert facts.last is not None
    assert facts.last.range == "[A-1:0]"


@pytest.mark.parametrize(
    "text",
    [
        "module m (input a,\n`ifdef X\n input b,\n`endif\n input c);\nendmodule",
        "`define P input b\nmodule m (input a, `P);\nendmodule",
        'module m #(parameter S = "two  blanks") (input a);\nendmodule',
        "module m (input a input b);\nendmodule",
        "module m (input [3 a);\nendmodule",
    ],
)
def test_source_with_macros_or_errors_gives_no_facts_about_ports(text: str) -> None:
    for excerpt in cut(text, 2000, 1):
        facts = read_facts(excerpt)
        assert facts is None or len(facts.ports) == 1, excerpt


def test_included_files_are_not_read(tmp_path: Path) -> None:
    include = f'`include "{tmp_path}/\u00fc.vh"'
    text = f"`define INC {include}\nmodule m (input a);\n{include}\n`INC\nwire b;\nendmodule"
    before = list(cut(text, 500, 4))
    (tmp_path / "\u00fc.vh").write_text("wire c;\nendmodule\nmodule other (input d);\n")
    assert list(cut(text, 500, 4)) == before
    assert [excerpt.text for excerpt in before] == ["module m (input a);", "wire b;"]


def test_a_header_with_an_include_is_not_an_excerpt() -> None:
    excerpts = list(cut('module m (input a,\n`include "ports.vh"\ninput b);\nendmodule', 500, 4))
    assert [(excerpt.shape, excerpt.text) for excerpt in excerpts] == [
        (Shape.PORTS, "input a"),
        (Shape.PORTS, "input b"),
    ]


@pytest.mark.parametrize("written", ["[0:0]", "[1:0]", "[0:7]", "[8:1]", "[W-1:0]", "[ 3 : 0 ]", ""])
def test_questions_have_one_right_answer(written: str) -> None:
    port = f"input logic {written} q"
    *_, header = ask(Excerpt("", Shape.HEADER, "m"), facts_of(f"module m ({port});"))
    assert header.category == "module_header"
    assert opinion(vars(header)) == "".join(header.response.split())
    items = Excerpt(" ".join(f"logic {written} q;".split()), Shape.ITEMS, "m")
    ends = [row for row in ask(items, facts_of(items.text, Shape.ITEMS)) if row.category == "complete_declaration"]
    assert all(opinion(vars(row)) == "".join(row.response.split()) for row in ends)
    assert len(ends) == (0 if written == "[ 3 : 0 ]" else 1)


def test_offsets_count_bytes() -> None:
    text = "// ünïcödé \u4e2d\nmodule m (input logic a); // é\n  wire [3:0] b; // ü\nendmodule"
    assert [excerpt.text for excerpt in cut(text, 500, 4)] == ["module m (input logic a);", "wire [3:0] b;"]


def test_sequences_of_ports_respect_the_limits_and_begin_with_a_direction() -> None:
    listed = ["input logic clk", "rst", *(f"output logic [{n}:0] port_{n}, extra_{n}" for n in range(12))]
    text = "module m (" + ",\n".join(listed) + ");\nendmodule"
    excerpts = list(cut(text, 120, 3))
    assert len(excerpts) > 4
    for excerpt in excerpts:
        assert excerpt.shape is Shape.PORTS
        assert len(excerpt.text) <= 120
        assert excerpt.text.count("\n") < 3
        assert excerpt.text.startswith(("input", "output"))


def test_comments_are_removed_but_not_from_strings() -> None:
    text = 'a = "//no"; // yes\nb /* x\ny */ = "/*\\"*/"; /* end'
    assert strip_comments(text) == 'a = "//no"; \nb   = "/*\\"*/"; /* end'


def test_skeletons_of_edited_copies_are_equal() -> None:
    assert skeleton("module m; // old\nendmodule", verilog=True) == skeleton("module m;endmodule", verilog=True)
    assert skeleton("see http://a", verilog=False) != skeleton("see http://b", verilog=False)
