"""Comparison of text by lines, of pages by their visible text, and of other files by bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from html.parser import HTMLParser
from pathlib import Path

from tapeout.compare.file_comparison import Detail, FileComparison, Level, Unreadable, counted

MAX_BYTES, MAX_LINES = 16 << 20, 20_000
"""Limits of a comparison by lines, whose time is quadratic; larger files are compared as bytes."""
MAX_WORDS = 4_000
"""Maximum words of a text in which ``excerpt`` distinguishes several differences; in longer texts they count as one."""

BLOCK = 1 << 20


@dataclass(frozen=True)
class TextDetail(Detail):
    """A unified diff; ``total`` counts its lines."""

    kind = "text"

    added: int
    removed: int
    total: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class BytesDetail(Detail):
    """Sizes in bytes, the offset of the first byte that differs, and how many differ or exist in one file only."""

    kind = "bytes"

    old_size: int
    new_size: int
    first: int
    differing: int
    remark: str = ""


def compare_text(old: Path, new: Path, limit: int | None, remark: str = "") -> FileComparison:
    """Compare two text files by lines, or by bytes if one of them is not text.

    ``remark`` states why files of another format are compared as text.
    """
    try:
        detail = _lines(_text(old).splitlines(), _text(new).splitlines(), limit)
    except Unreadable:
        return compare_bytes(old, new, remark)
    counts = counted((detail.added, "line~ added"), (detail.removed, "line~ removed")) or "only line endings differ"
    return FileComparison(Level.NONE, f"{remark}; {counts}" if remark else counts, detail)


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise Unreadable(f"{path.name} is too long for a comparison by lines.", "Compare it as bytes.")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path.name} is not text.", "Compare it as bytes.") from error
    if "\0" in text:
        raise Unreadable(f"{path.name} is not text.", "Compare it as bytes.")
    return text


def _lines(old: list[str], new: list[str], limit: int | None) -> TextDetail:
    if max(len(old), len(new)) > MAX_LINES:
        raise Unreadable("The files have too many lines for a comparison by lines.", "Compare the files as bytes.")
    lines = list(unified_diff(old, new, "old", "new", lineterm=""))
    added, removed = (sum(line.startswith(sign) for line in lines[2:]) for sign in "+-")  # after the two file names
    return TextDetail(added, removed, len(lines), tuple(lines[:limit]))


class _Visible(HTMLParser):
    """Parser that collects the visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style") and self.hidden > 0

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if words and not self.hidden:
            self.lines.append(words)


def compare_page(
    old: Path, new: Path, json_level: Level | None, limit: int | None, has_markup: bool = True
) -> FileComparison:
    """Compare two pages, whose bytes differ, by their visible text.

    Args:
        old: the first page.
        new: the second page.
        json_level: level of the JSON file beside it, which has the numbers of the page; None if there is none.
            If these differ within the bounds, a page in which nothing else differs reaches ``METRICS`` too. If they
            are equal, the page has no reason to differ.
        limit: lines of the diff to keep.
        has_markup: True for HTML; the lines of any other text are visible as they are.
    """
    try:
        before, after = (_visible(path) if has_markup else _text(path).splitlines() for path in (old, new))
        detail = _lines(before, after, limit)
    except Unreadable:
        return compare_bytes(old, new)
    counts = counted((detail.added, "visible line~ added"), (detail.removed, "visible line~ removed"))
    only_numbers = [_without_numbers(line) for line in before] == [_without_numbers(line) for line in after]
    if json_level is Level.METRICS and before != after and only_numbers:
        return FileComparison(Level.METRICS, "only numbers in the visible text differ, as in the JSON file", detail)
    return FileComparison(Level.NONE, counts or "same visible text; markup or pictures differ", detail)


def _visible(path: Path) -> list[str]:
    parser = _Visible()
    parser.feed(_text(path))
    parser.close()
    return parser.lines


def _without_numbers(line: str) -> str:
    return re.sub(r"\b(?=\w*\d)[0-9a-f]{8,64}\b|[-+−]?\d[\d.,]*", "#", line)


def compare_bytes(old: Path, new: Path, remark: str = "") -> FileComparison:
    """Compare two files by bytes, which differ."""
    sizes = old.stat().st_size, new.stat().st_size
    first, differing = -1, abs(sizes[0] - sizes[1])
    offset = 0
    for before, after in _blocks(old, new):
        if before != after:
            xor = (int.from_bytes(before) ^ int.from_bytes(after)).to_bytes(len(before))
            differing += len(xor) - xor.count(0)
            if first < 0:
                first = offset + len(xor) - len(xor.lstrip(b"\0"))
        offset += len(before)
    first = first if first >= 0 else min(sizes)
    counts = f"{counted((differing, 'byte~'))} differ, the first at {first:,}"
    detail = BytesDetail(*sizes, first, differing, remark)
    return FileComparison(Level.NONE, f"{remark}; {counts}" if remark else counts, detail)


def _blocks(old: Path, new: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield blocks of two files at the same offsets, up to the end of the shorter one."""
    with open(old, "rb") as left, open(new, "rb") as right:
        while (before := left.read(BLOCK)) and (after := right.read(BLOCK)):
            both = min(len(before), len(after))
            yield before[:both], after[:both]


@dataclass(frozen=True)
class Excerpt:
    """The first difference of two texts with some context, and the number of further ones.

    ``after`` is what follows in the old text and in the new one; both are equal up to the next difference.
    """

    before: str
    old: str
    new: str
    after: tuple[str, str]
    more: int


def excerpt(old: str, new: str, width: int) -> Excerpt:
    """Return the first difference of two texts, by words."""
    left, right = _words(old), _words(new)
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    middle = left[start : len(left) - end], right[start : len(right) - end]
    hunks = [(0, len(middle[0]), 0, len(middle[1]))]
    too_long = max(len(words) for words in middle) > MAX_WORDS
    if not too_long and max(len("".join(words)) for words in middle) > width // 2:  # else all differences fit as one
        codes = SequenceMatcher(None, *middle).get_opcodes()
        hunks = [(a, b, c, d) for tag, a, b, c, d in codes if tag != "equal"] or hunks
    a, b, c, d = hunks[0]
    rest_old, rest_new = "".join(left[start + b :]), "".join(right[start + d :])
    was, now = "".join(middle[0][a:b]), "".join(middle[1][c:d])
    ahead, half = "".join(left[: start + a]), width // 2
    room = max(half, width - max(len(was), len(now)))
    rest = max(room // 2, room - len(ahead))
    after = _clipped(rest_old, rest), _clipped(rest_new, rest)
    before = _clipped(ahead[::-1], room - max(len(text) for text in after))[::-1]
    return Excerpt(before, _clipped(was, half), _clipped(now, half), after, len(hunks) - 1)


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _common(left: list[str], right: list[str]) -> int:
    """Return the number of words at the beginning that two texts share."""
    both = min(len(left), len(right))
    return next((index for index in range(both) if left[index] != right[index]), both)


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
