"""Text line by line, pages by their visible text, and anything else byte by byte."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from html.parser import HTMLParser
from pathlib import Path

from tapeout.compare.file_comparison import Detail, Found, Level, Unreadable, counted

LONGEST_TEXT, MOST_LINES = 16 << 20, 20_000
"""Bytes and lines; longer files are compared as bytes: the time to find common lines grows with their square."""

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
    """Sizes in bytes, the offset of the first byte that differs, and how many do (those that one file lacks count)."""

    kind = "bytes"

    old_size: int
    new_size: int
    first: int
    differing: int
    remark: str = ""


def compare_text(old: Path, new: Path, limit: int | None, remark: str = "") -> Found:
    """Two text files, or bytes if one of them is no text.

    Args:
        old, new: the files; their bytes differ.
        limit: lines to keep of the diff.
        remark: why they are compared as text, if they should have been something else.
    """
    try:
        found = _lines(_text(old).splitlines(), _text(new).splitlines(), limit)
    except Unreadable:
        return compare_bytes(old, new, remark)
    words = counted((found.added, "line~ added"), (found.removed, "line~ removed")) or "only line ends differ"
    return Found(Level.NONE, f"{remark}; {words}" if remark else words, found)


def _text(path: Path) -> str:
    if path.stat().st_size > LONGEST_TEXT:
        raise Unreadable(f"{path.name} is too long to be compared line by line.", "Compare it as bytes.")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path.name} is no text.", "Compare it as bytes.") from error
    if "\0" in text:
        raise Unreadable(f"{path.name} is no text.", "Compare it as bytes.")
    return text


def _lines(old: list[str], new: list[str], limit: int | None) -> TextDetail:
    if max(len(old), len(new)) > MOST_LINES:
        raise Unreadable("There are too many lines to compare them.", "Compare the files as bytes.")
    lines = list(unified_diff(old, new, "old", "new", lineterm=""))
    added, removed = (sum(line.startswith(sign) for line in lines[2:]) for sign in "+-")  # behind the two names
    return TextDetail(added, removed, len(lines), tuple(lines[:limit]))


class _Visible(HTMLParser):
    """Collects the text that a reader of a page sees."""

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


def compare_page(old: Path, new: Path, beside: Level | None, limit: int | None) -> Found:
    """Two HTML pages, whose bytes differ, by what a reader sees.

    Args:
        beside: the level of the JSON file with the same name, if there is one: it has the page's numbers. Where those
            differ within the bounds, a page whose text is the same but for numbers reaches the level «metrics» with it;
            where they are equal, the page has no reason to differ.
    """
    try:
        before, after = _visible(old), _visible(new)
        found = _lines(before, after, limit)
    except Unreadable:
        return compare_bytes(old, new)
    shown = counted((found.added, "visible line~ added"), (found.removed, "visible line~ removed"))
    alike = [_without_numbers(line) for line in before] == [_without_numbers(line) for line in after]
    if beside is Level.METRICS and before != after and alike:
        words = "visible text the same but for numbers, which are those of the JSON beside it"
        return Found(Level.METRICS, words, found)
    return Found(Level.NONE, shown or "visible text the same, markup or pictures differ", found)


def _visible(path: Path) -> list[str]:
    parser = _Visible()
    parser.feed(_text(path))
    parser.close()
    return parser.lines


def _without_numbers(line: str) -> str:
    return re.sub(r"\b(?=\w*\d)[0-9a-f]{8,64}\b|[-+−]?\d[\d.,]*", "#", line)


def compare_bytes(old: Path, new: Path, remark: str = "") -> Found:
    """Any two files whose bytes differ."""
    sizes = old.stat().st_size, new.stat().st_size
    first, differing = -1, abs(sizes[0] - sizes[1])
    offset = 0
    for before, after in _blocks(old, new):
        if before != after:
            marks = (int.from_bytes(before) ^ int.from_bytes(after)).to_bytes(len(before))
            differing += len(marks) - marks.count(0)
            if first < 0:
                first = offset + len(marks) - len(marks.lstrip(b"\0"))
        offset += len(before)
    first = first if first >= 0 else min(sizes)
    words = f"{counted((differing, 'byte~'))} differ, the first at {first:,}"
    return Found(Level.NONE, f"{remark}; {words}" if remark else words, BytesDetail(*sizes, first, differing, remark))


def _blocks(old: Path, new: Path) -> Iterator[tuple[bytes, bytes]]:
    """Blocks of two files at the same offsets, as far as both go."""
    with open(old, "rb") as left, open(new, "rb") as right:
        while (before := left.read(BLOCK)) and (after := right.read(BLOCK)):
            both = min(len(before), len(after))
            yield before[:both], after[:both]
