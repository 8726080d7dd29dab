"""The extraction rule: known answers, and the digest that freezes it."""

import pytest

from tapeout.simulation.extraction import extract, rule_digest
from tests.simulation.toys import COUNTER, HEADER

pytestmark = pytest.mark.environment("rtl")
BODY = COUNTER.model_copy(update={"dialect": "body", "header": HEADER})
MODULE = f"{HEADER}\n  assign q = 0;\nendmodule\n"
OTHER = "module helper;\nendmodule\n"


def test_the_rule_is_frozen() -> None:
    assert rule_digest() == "317116ceefbb63dc0d755b4c13cb288646d8d9d40ade3e91fb5ae206dcc2edd0"


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
