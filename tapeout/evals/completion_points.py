"""Places in Verilog files at which a model is asked to continue, and the text that stands there.

Places depend on the text of the files alone, so they are the same for every model and new files move none. None is in
a comment or a string, and what is asked for contains no comment.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from tapeout.evals.rows import in_sample_order

Kind = Literal["line", "port", "item"]

SUFFIXES = (".v", ".sv", ".vh", ".svh")
MIN_CHARACTERS = 8
"""Fewest characters of a line that is asked for, without spaces; a shorter one is often only ``end`` or ``);``."""
MAX_PER_FILE = 2
"""Places of a kind in one file."""
HIDDEN = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
CONNECTION = re.compile(r"\.\s*([A-Za-z_]\w*)\s*\(\s*([A-Za-z_]\w*)\s*\)")
NESTING = re.compile(
    r"(?P<open>\b(?:begin|fork|case[xz]?|function|task|generate|class|covergroup|property|sequence|clocking|specify"
    r"|table|package|interface)\b|[(\[{])"
    r"|(?P<close>\b(?:end|join(?:_any|_none)?|end(?:case|function|task|generate|class|group|property|sequence|clocking"
    r"|specify|table|package|interface))\b|[)\]}])"
    r"|(?P<module>\bmodule\b)|(?P<endmodule>\bendmodule\b)"
)


@dataclass(frozen=True)
class Point:
    """A place in a file.

    Attributes:
        kind: ``line``: the whole next line; ``port``: the name that is connected to a port; ``item``: any next item of
            a module, of which only the syntax is judged.
        prefix: the file up to the place.
        expected: the text that stands there; empty for an item.
        source: name of the source that the file is from.
        stratum: of a port, whether the connected name is that of the port.
        digest: identifies prefix and expected text.
    """

    kind: Kind
    prefix: str
    expected: str
    source: str
    stratum: str = ""

    @property
    def digest(self) -> str:
        """Digest of everything that the point asks."""
        return sha256("\n".join((self.kind, self.prefix, "", self.expected)).encode()).hexdigest()


def points(rows: Iterable[Mapping[str, Any]], kind: Kind, count: int, max_prefix_bytes: int) -> list[Point]:
    """Choose up to ``count`` places of a kind: at most two in each file, in the order of a hash of their digests.

    Args:
        rows: documents of a corpus, with ``text``, ``path`` and ``source``.
        kind: kind of the places.
        count: maximum number of places.
        max_prefix_bytes: maximum length of a file before a place.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["path"].endswith(SUFFIXES):
            found = FINDERS[kind](row["text"], row["source"], _characters(row["text"], max_prefix_bytes))
            ordered = in_sample_order({"digest": point.digest, "point": point} for point in found)
            chosen |= {one["digest"]: one for one in ordered[:MAX_PER_FILE]}
    return [one["point"] for one in in_sample_order(chosen.values())[:count]]


def _characters(text: str, max_bytes: int) -> int:
    """Return the length of the longest beginning of a text that has at most so many bytes."""
    return len(text[:max_bytes].encode()[:max_bytes].decode(errors="ignore"))


def without_hidden(text: str) -> str:
    """Return the text with spaces in place of comments and strings; line ends stay."""
    return HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _lines(text: str, source: str, limit: int) -> Iterator[Point]:
    """Yield each line that has enough characters and no comment or string, and has a line of code before it.

    Args:
        text: a file.
        source: name of its source.
        limit: maximum number of characters before a place.
    """
    start, code_before = 0, False
    lines = zip(text.split("\n"), without_hidden(text).split("\n"), strict=True)
    for line, shown in lines:
        ends = start + len(line) < len(text)
        if start > limit or not ends:
            return
        if code_before and line == shown and len("".join(line.split())) >= MIN_CHARACTERS:
            yield Point("line", text[:start], line.strip(), source)
        code_before = code_before or bool(shown.strip())
        start += len(line) + 1


def _ports(text: str, source: str, limit: int) -> Iterator[Point]:
    """Yield each named connection of a port to a plain name."""
    for match in CONNECTION.finditer(without_hidden(text)):
        start, end = match.span(2)
        if text[match.start() : match.end()] == match[0]:
            stratum = "same_name" if match[1] == match[2] else "other_name"
            opened = text.index("(", match.end(1)) + 1
            if opened > limit:
                return
            yield Point("port", text[:opened], text[start:end], source, stratum)


def _items(text: str, source: str, limit: int) -> Iterator[Point]:
    """Yield each line end inside of a module, after an item, where nothing else is open."""
    depth, in_module = 0, False
    start = 0
    for line in without_hidden(text).split("\n"):
        for match in NESTING.finditer(line):
            depth += (match.lastgroup == "open") - (match.lastgroup == "close")
            in_module = match.lastgroup == "module" or (in_module and match.lastgroup != "endmodule")
        start = min(start + len(line) + 1, len(text))
        if start > limit:
            return
        if in_module and depth == 0 and line.rstrip().endswith((";", "end")):
            yield Point("item", text[:start], "", source)


FINDERS = {"line": _lines, "port": _ports, "item": _items}
