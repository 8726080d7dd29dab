"""Cleaned excerpts are found where they come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.data.io.comments import skeleton
from tapeout.retrieval.excerpts import RtlDocument, modules_by_name
from tests.retrieval.material import FIFO, UART, row

pytestmark = pytest.mark.environment("serve")


@given(st.lists(st.sampled_from(['"', "//", "/*", "*/", "\\", "\n", " ", "a", "é", "b;"]), max_size=40).map("".join))
def test_the_skeleton_with_positions_is_that_of_the_corpora(text: str) -> None:
    document = RtlDocument(row("core", "a.v", text))
    assert document.skeleton == skeleton(text, verilog=True)
    assert "".join(text[position] for position in document.positions) == document.skeleton


def test_an_excerpt_without_comments_is_found_in_its_module() -> None:
    document = RtlDocument(row("core", "both.v", f"// é\n{FIFO}{UART}"))
    assert set(document.modules) == {"fifo", "uart"}
    (span,) = document.modules["fifo"]
    ((start, end),) = document.find("input wire [7:0] in_data,\noutput wire full", span)
    assert document.text[start:end] == "input wire [7:0] in_data, // what enters\n  output wire full"
    assert document.find("output wire tx", span) == []
    assert len(document.find("input wire clk", (0, len(document.text)))) == 2
    ((low, high),) = document.lines_with("in_data", (start, end))
    assert document.text.encode()[low:high].decode() == "  input wire [7:0] in_data, // what enters"
    assert document.lines_with("data", (start, end)) == []


def test_modules_are_known_by_name_with_all_definitions() -> None:
    documents = [RtlDocument(row("core", f"{name}.v", text)) for name, text in (("a", UART), ("b", f"{UART}{FIFO}"))]
    assert {name: len(found) for name, found in modules_by_name(documents).items()} == {"uart": 2, "fifo": 1}
    assert RtlDocument(row("core", "c.v", "// module no;\nmodule Yes; endmodule")).modules.keys() == {"yes"}
