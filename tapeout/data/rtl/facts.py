"""Facts about an excerpt of RTL, from a parse of that excerpt alone."""

import re
from dataclasses import dataclass, field
from typing import Any

from pyslang.syntax import SyntaxKind

from tapeout.data.rtl.excerpts import Excerpt, Shape, parse

IDENTIFIER = re.compile(r"[A-Za-z_][\w$]*")
LITERAL_RANGE = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]")
BIT_VECTORS = (SyntaxKind.LogicType, SyntaxKind.RegType, SyntaxKind.BitType, SyntaxKind.ImplicitType)


@dataclass(frozen=True)
class Signal:
    """A port, net or variable that is a plain bit or a vector of bits.

    Attributes:
        name: its name.
        type: the words before the range, such as ``logic``, ``wire signed``, or nothing.
        range: the packed range as it is written, such as ``[7:0]``, or nothing for a single bit.
        direction: ``input``, ``output``, ``inout``, or nothing for what is no port.
    """

    name: str
    type: str
    range: str
    direction: str = ""

    @property
    def bits(self) -> int | None:
        """Number of bits, where the range is written in plain numbers."""
        if not self.range:
            return 1
        match = LITERAL_RANGE.fullmatch(self.range)
        return abs(int(match[1]) - int(match[2])) + 1 if match else None


@dataclass
class Facts:
    """What an excerpt says.

    Attributes:
        ports: names of all ports in order, of a header or a run of ports.
        directions: direction by port name.
        signals: plain signals by name; a name that is declared twice in different ways is left out.
        parameters: text of the default by name, for value parameters and local parameters.
        instances: names of the instantiated modules in order, each once.
        bare: a header or run of ports without parameters and imports, all of whose ports are in ``signals``.
        last: the last declaration, if it declares one plain signal and nothing else.
    """

    ports: list[str] = field(default_factory=list)
    directions: dict[str, str] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    instances: list[str] = field(default_factory=list)
    bare: bool = False
    last: Signal | None = None


def read_facts(excerpt: Excerpt) -> Facts | None:
    """Parse an excerpt by itself; None if the parser has any objection."""
    before, after = excerpt.shape.value
    tree, members = parse(before + excerpt.text + after)
    if len(tree.diagnostics) or len(members) != 1 or members[0].kind != SyntaxKind.ModuleDeclaration:
        return None
    reader = Reader()
    reader.header(members[0].header)
    for member in members[0].members:
        reader.member(member)
    facts = reader.facts
    if not all(IDENTIFIER.fullmatch(name) for name in facts.ports):
        facts.ports.clear()
    for name in reader.unclear:
        facts.signals.pop(name, None)
        facts.parameters.pop(name, None)
    header = members[0].header
    facts.bare = (
        excerpt.shape in (Shape.HEADER, Shape.PORTS)
        and header.parameters is None
        and not len(header.imports)
        and all(name in facts.signals and name in facts.directions for name in facts.ports)
    )
    return facts


class Reader:
    """Walks a parsed excerpt and collects its facts.

    Attributes:
        facts: what was found so far.
        unclear: names that are declared more than once, or in a way of which we say nothing.
    """

    def __init__(self) -> None:
        self.facts = Facts()
        self.unclear: set[str] = set()

    def header(self, header: Any) -> None:
        """Parameters and ports of a module header."""
        if header.parameters is not None:
            for declaration in header.parameters.declarations:
                if hasattr(declaration, "keyword"):
                    self.parameters(declaration)
        if header.ports is None:
            return
        inherited, kind = "", ("", "")
        for port in header.ports.ports:
            if port.kind == SyntaxKind.ImplicitNonAnsiPort:
                self.facts.ports.append(plain(port))
            elif port.kind == SyntaxKind.ImplicitAnsiPort:
                name = port.declarator.name.valueText
                self.facts.ports.append(name)
                direction, words, dimensions = port_type(port.header)
                if direction == "" and words == "" and dimensions == "":
                    words, dimensions = kind
                elif words is not None:
                    kind = (words, dimensions)
                inherited = direction or inherited
                if words is None and port.header.kind == SyntaxKind.InterfacePortHeader:
                    inherited = ""
                if inherited:
                    self.facts.directions[name] = inherited
                if words is None or not inherited:
                    kind = UNKNOWN
                    self.unclear.add(name)
                elif (words, dimensions) == UNKNOWN or len(port.declarator.dimensions) or port.declarator.initializer:
                    self.unclear.add(name)
                else:
                    self.signal(Signal(name, words, dimensions, inherited))
            elif port.kind == SyntaxKind.ExplicitAnsiPort:
                self.facts.ports.append(port.name.valueText)
                self.unclear.add(port.name.valueText)
                inherited, kind = port.direction.valueText or inherited, UNKNOWN

    def member(self, member: Any) -> None:
        """One member of a module's body."""
        self.facts.last = None
        if member.kind == SyntaxKind.ParameterDeclarationStatement:
            self.parameters(member.parameter)
        elif member.kind == SyntaxKind.HierarchyInstantiation:
            name = member.type.valueText
            if name not in self.facts.instances:
                self.facts.instances.append(name)
        elif member.kind == SyntaxKind.PortDeclaration:
            direction, words, dimensions = port_type(member.header)
            self.declarators(member.declarators, words, dimensions, direction)
        elif member.kind == SyntaxKind.NetDeclaration:
            words, dimensions = vector(member.type, member.netType.valueText)
            if plain(member.strength) or plain(member.delay) or plain(member.expansionHint):
                words = None
            self.declarators(member.declarators, words, dimensions)
        elif member.kind == SyntaxKind.DataDeclaration:
            words, dimensions = vector(member.type, "")
            if any(True for _ in member.modifiers):
                words = None
            self.declarators(member.declarators, words, dimensions)

    def declarators(self, declarators: Any, words: str | None, dimensions: str, direction: str = "") -> None:
        """The names of one declaration."""
        found = [each for each in declarators if hasattr(each, "name")]
        for each in found:
            name = each.name.valueText
            if direction:
                self.facts.directions[name] = direction
            if words is None or len(each.dimensions):
                self.unclear.add(name)
            else:
                signal = Signal(name, words, dimensions, direction)
                self.signal(signal)
                if len(found) == 1 and each.initializer is None:
                    self.facts.last = signal

    def signal(self, signal: Signal) -> None:
        """Note a signal; a second declaration must not say anything else."""
        known = self.facts.signals.setdefault(signal.name, signal)
        if known.range != signal.range:
            self.unclear.add(signal.name)

    def parameters(self, declaration: Any) -> None:
        """The names of one parameter declaration; type parameters have no default of our kind."""
        for each in declaration.declarators:
            if hasattr(each, "initializer") and each.initializer is not None:
                name = each.name.valueText
                if name in self.facts.parameters:
                    self.unclear.add(name)
                self.facts.parameters[name] = plain(each.initializer.expr)


UNKNOWN = ("?", "?")
"""Type and range of ports that inherit something of which we say nothing."""


def port_type(header: Any) -> tuple[str, str | None, str]:
    """Direction, type words and range of a port header; the words are None if it is no plain vector of bits."""
    if header.kind == SyntaxKind.InterfacePortHeader:
        return "", None, ""
    net = getattr(header, "netType", None)
    words, dimensions = vector(header.dataType, net.valueText if net is not None else "")
    variable = getattr(header, "varKeyword", None)
    if variable is not None and variable.valueText:
        words = None
    return header.direction.valueText, words, dimensions


def vector(data_type: Any, net: str) -> tuple[str | None, str]:
    """Type words and range of a data type; the words are None for anything but a bit or one packed range of bits."""
    if data_type.kind not in BIT_VECTORS or len(data_type.dimensions) > 1:
        return None, ""
    keyword = getattr(data_type, "keyword", None)
    words = [net, keyword.valueText if keyword is not None else "", data_type.signing.valueText]
    return " ".join(word for word in words if word), "".join(range_text(each) for each in data_type.dimensions)


def range_text(dimension: Any) -> str:
    """A packed range without blanks inside the brackets' ends; one in plain numbers has no blanks at all."""
    text = plain(dimension)
    match = LITERAL_RANGE.fullmatch(text)
    return f"[{match[1]}:{match[2]}]" if match else f"[{text[1:-1].strip()}]"


def plain(node: Any) -> str:
    """Source text of a node, with blanks evened out; empty for an absent node."""
    return " ".join(str(node).split()) if node is not None else ""
