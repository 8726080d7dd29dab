"""Comparison of text, pages and bytes, and excerpts of two texts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tapeout.compare.file_comparison import FileComparison, Level, unmoved
from tapeout.compare.text import MAX_LINES, BytesDetail, TextDetail, compare_page, compare_text, excerpt


def text(folder: Path, old: bytes, new: bytes, remark: str = "") -> FileComparison:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    return compare_text(folder / "old", folder / "new", 20, remark)


def page(folder: Path, old: str, new: str, beside: Level | None) -> FileComparison:
    (folder / "old").write_text(old)
    (folder / "new").write_text(new)
    return compare_page(folder / "old", folder / "new", beside, 20)


def test_lines_of_text(tmp_path: Path) -> None:
    result = text(tmp_path, b"a\n-- b\nc\n", b"a\nb\nc\nd\n")
    assert isinstance(result.detail, TextDetail) and result.reason == "2 lines added, 1 line removed"
    assert (result.detail.added, result.detail.removed, result.level) == (2, 1, Level.NONE)
    assert text(tmp_path, b"a\r\n", b"a\n").reason == "only line endings differ"


@pytest.mark.parametrize(
    ("old", "new", "first", "differing"),
    [
        (b"\0abc", b"\0abd", 3, 1),
        (b"\0abc", b"\0abcde", 4, 2),
        (b"\xff", b"", 0, 1),
        (b"\0" * (3 << 20), b"\0" * (2 << 20) + b"\1" + b"\0" * ((1 << 20) - 2) + b"\2", 2 << 20, 2),
    ],
)
def test_the_first_byte_and_how_many(tmp_path: Path, old: bytes, new: bytes, first: int, differing: int) -> None:
    detail = text(tmp_path, old, new).detail
    assert isinstance(detail, BytesDetail) and (detail.first, detail.differing) == (first, differing)


def test_long_text_is_compared_as_bytes(tmp_path: Path) -> None:
    result = text(tmp_path, b"a\n" * (MAX_LINES + 1), b"a\n" * MAX_LINES, "no good")
    assert isinstance(result.detail, BytesDetail) and result.reason.startswith("no good; 2 bytes")


def test_a_page_is_compared_by_its_visible_text(tmp_path: Path) -> None:
    old = "<html><style>p {}</style><script>1 < 2</script><p>Loss <b>4.20</b></p>of 0a1b2c3d4e<img src='a'>"
    other = old.replace("4.20", "−4,21").replace("0a1b2c3d4e", "ffff2c3d4e").replace("src='a'", "src='b'")
    assert page(tmp_path, old, other, Level.METRICS).level is Level.METRICS
    assert page(tmp_path, old, other, Level.NONE).level is Level.NONE
    result = page(tmp_path, old, other, None)
    assert result.level is Level.NONE and result.reason == "2 visible lines added, 2 visible lines removed"
    assert page(tmp_path, old, old.replace("Loss", "Gain"), Level.BYTES).level is Level.NONE
    assert "markup or pictures" in page(tmp_path, old, old.replace("src='a'", "src='b'"), None).reason
    assert page(tmp_path, "<p>\0", "<p>1", Level.BYTES).level is Level.NONE


def test_an_excerpt_has_the_first_difference() -> None:
    result = excerpt("wire clk; the width is 8 bit", "wire clk; the width is 16 bit", 40)
    assert (result.before, result.old, result.new, result.after) == (
        "wire clk; the width is ",
        "8",
        "16",
        (" bit", " bit"),
    )
    long = "word " * 500
    result = excerpt(long + "old one" + long, long + "new one" + long + "!", 30)
    assert (result.old, result.new, result.more) == ("old", "new", 1) and len(result.before) <= 15
    assert excerpt("", "added", 20).new == "added"
    several = excerpt("The clock and the reset.", "The clock, then the reset.", 40)  # whole, if it fits
    assert (several.before, several.old, several.new, several.more) == ("The clock", " and", ", then", 0)
    apart = excerpt("a b c d e f g h i", "x b c d e f g h y", 10)
    assert (apart.old + apart.after[0]).startswith("a b") and (apart.new + apart.after[1]).startswith("x b")


@given(some.text(), some.text(), some.integers(8, 80))
def test_an_excerpt_fits_its_width(old: str, new: str, width: int) -> None:
    result = excerpt(old, new, width)
    for changed, after in ((result.old, result.after[0]), (result.new, result.after[1])):
        assert len(result.before + changed + after) <= width + 2
    if old != new:
        assert result.old != result.new or "…" in result.old


@given(some.permutations(range(7)))
def test_unmoved_is_a_longest_increasing_subsequence(positions: list[int]) -> None:
    kept = sorted(unmoved(positions))
    assert [positions[index] for index in kept] == sorted(positions[index] for index in kept)
    best = [1] * len(positions)
    for index, position in enumerate(positions):
        best[index] += max((best[other] for other in range(index) if positions[other] < position), default=0)
    assert len(kept) == max(best)
