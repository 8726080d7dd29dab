"""Find cleaned excerpts of Verilog in the documents that they come from.

The rows of the instruction set have excerpts without comments and with normalized white space. Both texts are compared
without white space and comments, and each remaining character of the document has its position.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from tapeout.data.io.comments import STRING, TOKEN, skeleton

MODULE = re.compile(r"\bmodule\s+(?:(?:automatic|static)\s+)?(\\\S+|[A-Za-z_][\w$]*)")
END = re.compile(r"\bendmodule\b")


def code_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a text that ``strip_comments`` keeps.

    The same scan again: ``comments`` is code of every training, and an edit of it would train every model anew.
    """
    kept = position = 0
    last_end = text.rfind("*/")
    unterminated = 0
    while match := TOKEN.search(text, position):
        start, position = match.span()
        token = match.group()
        if token == '"' and start >= unterminated:
            string = STRING.match(text, start)
            if string is not None and string[2]:
                position = string.end()
            elif string is not None:
                unterminated = string.end()
        elif token.startswith("//"):
            yield kept, start
            kept = position
        elif token == "/*" and position <= last_end:
            yield kept, start
            kept = position = text.index("*/", position) + 2
    yield kept, len(text)


class RtlDocument:
    """RTL file of a corpus in which excerpts are found.

    Args:
        row: row of the corpus.
    """

    def __init__(self, row: Mapping[str, str]) -> None:
        """Keep the text and its origin."""
        self.text, self.digest, self.source = row["text"], row["digest"], row["source"]

    @cached_property
    def code(self) -> str:
        """The text with blanks in place of comments, at the same positions."""
        pieces, position = [], 0
        for start, end in code_spans(self.text):
            pieces += [" " * (start - position), self.text[start:end]]
            position = end
        return "".join(pieces).ljust(len(self.text))

    @cached_property
    def positions(self) -> list[int]:
        """Position of each character of the code that is no white space."""
        return [index for index, character in enumerate(self.code) if not character.isspace()]

    @cached_property
    def skeleton(self) -> str:
        """The code without white space."""
        return "".join(self.code.split())

    @cached_property
    def modules(self) -> dict[str, list[tuple[int, int]]]:
        """Spans of the modules, by name in lower case."""
        found = defaultdict(list)
        for match in MODULE.finditer(self.code):
            end = END.search(self.code, match.end())
            found[match[1].lower()].append((match.start(), end.end() if end else len(self.text)))
        return dict(found)

    def find(self, excerpt: str, span: tuple[int, int]) -> list[tuple[int, int]]:
        """Return all occurrences of an excerpt inside a span, as spans of the text."""
        wanted = skeleton(excerpt, verilog=True)
        low, high = bisect_left(self.positions, span[0]), bisect_right(self.positions, span[1] - 1)
        found = []
        index = self.skeleton.find(wanted, low, high)
        while index >= 0:
            found.append((self.positions[index], self.positions[index + len(wanted) - 1] + 1))
            index = self.skeleton.find(wanted, index + 1, high)
        return found

    def lines_with(self, name: str, span: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the lines of a span whose code contains a name, each from its start to its end, in UTF-8 bytes."""
        word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
        lines = []
        for match in word.finditer(self.code, *span):
            start = self.text.rfind("\n", 0, match.start()) + 1
            end = self.text.find("\n", match.end())
            lines.append((start, len(self.text) if end < 0 else end))
        return [(self._bytes(start), self._bytes(end)) for start, end in sorted(set(lines))]

    def _bytes(self, characters: int) -> int:
        """Return the number of UTF-8 bytes of the first characters."""
        return len(self.text[:characters].encode())


def modules_by_name(documents: Iterable[RtlDocument]) -> dict[str, list[tuple[RtlDocument, tuple[int, int]]]]:
    """Return every definition of each module, by its name in lower case."""
    found: dict[str, list[tuple[RtlDocument, tuple[int, int]]]] = defaultdict(list)
    for document in documents:
        for name, spans in document.modules.items():
            found[name] += [(document, span) for span in spans]
    return dict(found)
