"""Places in Verilog files: never in comments or strings, the same whatever other files there are."""

from typing import Any

import pytest

from tapeout.evals.completion_points import Kind, points, without_hidden

FILE = """// a .port(comment) line
module m (input wire clk, output reg [7:0] q);
  /* assign hidden = 1;
     .other(one) */
  wire [7:0] next; // .third(x)
  initial $display("assign x = 1; .p(q)");
  adder #(.WIDTH(WIDTH)) sum (
    .a(first), .b (b ),
    .total(next)
  );
  always @(posedge clk) begin
    q <= next + 8'd1;
  end
endmodule
"""
KINDS: tuple[Kind, ...] = ("line", "port", "item")


def row(text: str, path: str = "m.v") -> dict[str, Any]:
    return {"text": text, "path": path, "source": "core"}


def expected(kind: Kind, *texts: str) -> list[str]:
    """Return what the places of a kind ask for, of every file whole."""
    return sorted(point.expected for text in texts for point in points([row(text)], kind, 99, 10**6))


def test_lines_have_no_comment_and_no_string(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.evals.completion_points.MAX_PER_FILE", 99)
    assert expected("line", FILE) == sorted(
        [
            "adder #(.WIDTH(WIDTH)) sum (",
            ".a(first), .b (b ),",
            ".total(next)",
            "always @(posedge clk) begin",
            "q <= next + 8'd1;",
            "endmodule",
        ]
    )


def test_connections_are_names_outside_of_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.evals.completion_points.MAX_PER_FILE", 99)
    found = points([row(FILE)], "port", 99, 10**6)
    strata = {(point.expected, point.stratum) for point in found}
    assert strata == {
        ("WIDTH", "same_name"),
        ("first", "other_name"),
        ("b", "same_name"),
        ("next", "other_name"),
    }
    assert all(point.prefix.endswith("(") and FILE.startswith(point.prefix) for point in found)


def test_items_follow_items_of_a_module_where_nothing_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.evals.completion_points.MAX_PER_FILE", 99)
    ends = {point.prefix.splitlines()[-1].strip() for point in points([row(FILE)], "item", 99, 10**6)}
    assert ends == {
        "module m (input wire clk, output reg [7:0] q);",
        "wire [7:0] next; // .third(x)",
        'initial $display("assign x = 1; .p(q)");',
        ");",
        "end",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_choice_depends_on_content_alone(kind: Kind) -> None:
    files = [row(FILE.replace("module m", f"module m{number}")) for number in range(12)]
    whole = points(files, kind, 99, 10**6)
    assert len(whole) == 24, "two of each file"
    assert points(reversed(files), kind, 99, 10**6) == whole
    assert points([*files, files[0], row("plain text", "a.md")], kind, 99, 10**6) == whole
    assert points(files, kind, 5, 10**6) == whole[:5]
    fewer = points(files[1:], kind, 99, 10**6)
    assert fewer == [point for point in whole if point in fewer]
    assert len({point.digest for point in whole}) == 24
    assert all(len(point.prefix) <= 200 for point in points(files, kind, 99, 200))


def test_hidden_text_keeps_its_length_and_lines() -> None:
    plain = without_hidden(FILE)
    assert [len(line) for line in plain.splitlines()] == [len(line) for line in FILE.splitlines()]
    assert "comment" not in plain and "hidden" not in plain and "display" in plain and "assign x" not in plain


@pytest.mark.parametrize("space", ["\f", "\v", "\x1c", "\x85", "\u2028", "\r"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_a_newline_ends_a_line(kind: Kind, space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.evals.completion_points.MAX_PER_FILE", 99)
    page = FILE.replace("comment", f"page{space}next")
    assert expected(kind, page) == expected(kind, FILE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_of_a_file_before_a_place_counts_bytes(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.evals.completion_points.MAX_PER_FILE", 99)
    text = FILE.replace("comment", "\u00fc\u20ac")
    whole = points([row(text)], kind, 99, 10**6)
    for limit in range(len(text.encode()) + 1):
        fitting = [point for point in whole if len(point.prefix.encode()) <= limit]
        assert points([row(text)], kind, 99, limit) == fitting


def test_a_line_without_an_end_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.evals.completion_points.MAX_PER_FILE", 99)
    assert "endmodule" not in expected("line", FILE.rstrip("\n")) and "endmodule" in expected("line", FILE)
