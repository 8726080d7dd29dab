"""Short excerpts of RTL modules: whole headers, sequences of ports, sequences of declarations and instances.

An excerpt is real source text without comments and with normalized white space. Excerpts with a macro or a compiler
directive are left out, because their meaning depends on text that is not shown. The first parse only locates the
pieces; facts come from a parse of the excerpt alone (``tapeout.data.rtl.facts``), so that an answer is true of exactly
the text that a row shows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyslang import SourceManager
from pyslang.syntax import SyntaxKind, SyntaxTree

from tapeout.data.io.comments import skeleton, strip_comments

INCLUDE = re.compile(r"`include\b[^\n\\]*")
SPACES = re.compile(r"\s\s")
ESCAPED_END = re.compile(r"\\\S+\Z")
DECLARATIONS = (
    SyntaxKind.DataDeclaration,
    SyntaxKind.NetDeclaration,
    SyntaxKind.PortDeclaration,
    SyntaxKind.ParameterDeclarationStatement,
)


class Shape(Enum):
    """Kind of an excerpt; the value is the text before and after it that makes it a complete module."""

    HEADER = ("", "\nendmodule\n")
    PORTS = ("module excerpt (\n", "\n);\nendmodule\n")
    ITEMS = ("module excerpt;\n", "\nendmodule\n")


@dataclass(frozen=True)
class Excerpt:
    """A part of one module.

    Attributes:
        text: cleaned source text.
        shape: kind of the excerpt.
        module: name of the module, as ``spelling`` returns it.
    """

    text: str
    shape: Shape
    module: str

    @property
    def skeleton(self) -> str:
        """The text without white space: equal for copies in other files and cores."""
        return skeleton(self.text, verilog=True)


def spelling(token: Any) -> str:
    r"""Return an identifier as it is written; one that is escaped begins with ``\`` and lacks its closing blank."""
    return str(token.rawText)


def in_code(name: str) -> str:
    r"""Return a spelled name for use in front of any other text: a blank closes an escaped identifier."""
    return f"{name} " if name.startswith("\\") else name


def parse(text: str) -> tuple[SyntaxTree, list[Any]]:
    """Parse a SystemVerilog text and return the tree and its top-level members.

    Includes are blanked first: the parser would search the file system for them.
    """
    tree = SyntaxTree.fromText(without_includes(text), SourceManager())
    root: Any = tree.root
    return tree, list(root.members) if root.kind == SyntaxKind.CompilationUnit else [root]


def without_includes(text: str) -> str:
    """Replace ``include`` directives by spaces; all other text keeps its offset in UTF-8 bytes."""
    return INCLUDE.sub(lambda match: " " * len(match.group().encode()), text)


def cut(text: str, max_characters: int, max_items: int) -> Iterator[Excerpt]:
    """Yield the excerpts of all modules in a text, in source order and without overlap."""
    tree, members = parse(text)
    source = text.encode()
    for member in members:
        if member.kind == SyntaxKind.ModuleDeclaration and not member.header.name.isMissing:
            name = spelling(member.header.name)
            yield from Cutter(tree.sourceManager, source, name, max_characters, max_items).cut(member)


@dataclass(frozen=True)
class Cutter:
    """Cuts one module into excerpts.

    Attributes:
        manager: distinguishes tokens of the file from those of a macro.
        source: content of the file (the parser counts offsets in bytes).
        module: name of the module.
        max_characters: see ``cut``.
        max_items: see ``cut``.
    """

    manager: SourceManager
    source: bytes
    module: str
    max_characters: int
    max_items: int

    def cut(self, module: Any) -> Iterator[Excerpt]:
        """Yield the excerpts of a module."""
        header = self.text([module.header])
        if header is not None and module.header.ports is not None:
            yield Excerpt(header, Shape.HEADER, self.module)
        elif module.header.ports is not None and module.header.ports.kind == SyntaxKind.AnsiPortList:
            ports = [port for port in module.header.ports.ports if hasattr(port, "declarator")]
            yield from self.runs(ports, Shape.PORTS, opens=states_direction)
        run: list[Any] = []
        for member in module.members:
            if member.kind in DECLARATIONS or member.kind == SyntaxKind.HierarchyInstantiation:
                run.append(member)
            else:
                yield from self.runs(run, Shape.ITEMS)
                run = []
        yield from self.runs(run, Shape.ITEMS)

    def runs(self, nodes: list[Any], shape: Shape, opens: Any = lambda node: True) -> Iterator[Excerpt]:
        """Yield excerpts of consecutive nodes, as long as the limits allow; ``opens`` decides which may be first."""
        start = 0
        while start < len(nodes):
            best, end = None, start + 1
            while opens(nodes[start]) and end <= len(nodes) and end - start <= self.max_items:
                text = self.text(nodes[start:end], "," if shape is Shape.PORTS else "")
                if text is None:
                    break
                best, end = text, end + 1
            if best is None:
                start += 1
                continue
            yield Excerpt(best, shape, self.module)
            start = end - 1

    def text(self, nodes: list[Any], separator: str = "") -> str | None:
        """Return the cleaned source text of consecutive nodes; None if it is too long or not plain source."""
        begin, end = nodes[0].sourceRange.start, nodes[-1].sourceRange.end
        if not (self.manager.isFileLoc(begin) and self.manager.isFileLoc(end)):
            return None
        whole = self.source[begin.offset : end.offset].decode(
            errors="replace"
        )  # the parser ends names inside characters
        if "`" in whole or "\ufffd" in whole or has_spaced_string(whole):
            return None
        spans = [node.sourceRange for node in nodes]
        pieces = [clean_source(self.source[span.start.offset : span.end.offset].decode()) for span in spans]
        if separator:
            pieces = [f"{piece} " if ESCAPED_END.search(piece) else piece for piece in pieces[:-1]] + pieces[-1:]
        text = f"{separator}\n".join(pieces)
        return text if 0 < len(text) <= self.max_characters else None


def has_spaced_string(text: str) -> bool:
    """Return whether neighbouring quotes enclose several spaces in one line, or a line end and nothing but one gap."""
    for part in text.split('"')[1:-1]:
        first, last = part.find("\n"), part.rfind("\n") + 1
        gap = part[max(0, first - 1) : last + 1]
        if SPACES.search(part) if first < 0 else part[first:last].isspace() and SPACES.search(gap):
            return True
    return False


def states_direction(port: Any) -> bool:
    """Return whether a port states its direction, and does not inherit it from the port before."""
    direction = getattr(port.header, "direction", None)
    return direction is not None and bool(direction.valueText)


def clean_source(raw: str) -> str:
    """Remove comments and empty lines; several spaces become one, and any indentation becomes two."""
    lines = strip_comments(raw).splitlines()
    cleaned = [("  " if line[:1].isspace() else "") + " ".join(line.split()) for line in lines if line.strip()]
    return "\n".join(cleaned).strip()
