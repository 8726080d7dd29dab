"""The extraction rule: known answers, and the digest that freezes it."""

import pytest

from tapeout.simulation.extraction import extract, rule_digest
from tests.simulation.toys import COUNTER, HEADER

pytestmark = pytest.mark.environment("rtl")
BODY = COUNTER.model_copy(update={"dialect": "body", "header": HEADER})
MODULE = f"{HEADER}\n  assign q = 0;\nendmodule\n"
BEFORE = (
    "package types;\n  typedef logic [3:0] word;\nendpackage\n\n",
    "interface bus #(parameter W = 8);\n  logic [W-1:0] data;\nendinterface\n",
    "typedef enum logic [1:0] {\n  IDLE,\n  RUN\n} state;\n",
    "`define W 8\n/* The counter:\n   it counts.\n*/\n// once\n",
    "/* A counter. */\n`timescale 1ns/1ps\nimport types::*;\n(* keep *)\n",
    "`define W 8\n// State\ntypedef struct packed {\n  logic a;\n} pair;\n\npackage more;\nendpackage\n",
)
PROSE = "interface signals (clock and reset),\npackage delivery;\ntypedef is not needed.\n"
OTHER = "module helper;\nendmodule\n"


def test_the_rule_is_frozen() -> None:
    assert rule_digest() == "5d310df7179248a561e510bea185ab09de50434a13dee785328bb2e849ccb989"


@pytest.mark.parametrize(
    ("answer", "extracted"),
    [
        ("", ""),
        ("I cannot do that.", ""),
        (MODULE, MODULE),
        (MODULE.replace("\n", "\r\n"), MODULE),
        (f"Here is the module:\n\n{MODULE}\nIt counts.", MODULE),
        (f"```verilog\n{MODULE}```\nDone.", MODULE),
        (f"```\n{MODULE}", MODULE),
        (f"```systemverilog\n{OTHER}```\nand\n```systemverilog\n{MODULE}```\n", MODULE),
        (f"```verilog\n{MODULE}```\n```verilog\n{MODULE.replace('= 0', '= 1')}```", MODULE),
        (f"```bash\nls\n```\n{MODULE}", MODULE),
        (f"<think>\n{OTHER}</think>\n{MODULE}", MODULE),
        (f"{OTHER}\n{MODULE}", f"{OTHER}\n{MODULE}"),
        (f"text\n`timescale 1ns/1ps\n// comment\n{MODULE}", f"`timescale 1ns/1ps\n// comment\n{MODULE}"),
        *((f"It has these parts:\n{PROSE}{text}{MODULE}\nIt counts.", f"{text}{MODULE}") for text in BEFORE),
        (f"(* a multiplication\nby 2 *) is not needed.\n{MODULE}", MODULE),
        (f"(* keep *) {MODULE}", f"(* keep *) {MODULE}"),
        (MODULE.replace("endmodule", "endmodule : counter"), MODULE.replace("endmodule", "endmodule : counter")),
        (MODULE.replace("endmodule\n", ""), MODULE.replace("endmodule\n", "")),
    ],
)
def test_known_answers_of_whole_modules(answer: str, extracted: str) -> None:
    assert extract(COUNTER, answer) == extracted


@pytest.mark.parametrize(
    ("answer", "extracted"),
    [
        ("  assign q = 0;\nendmodule\nmodule next;", MODULE),
        ("```verilog\n  assign q = 0;\n```\n", MODULE),
        ("  assign q = 0;\n```\nIt is zero.", MODULE),
        (MODULE, MODULE),
        ("", ""),
    ],
)
def test_known_answers_of_bodies(answer: str, extracted: str) -> None:
    assert extract(BODY, answer) == extracted
