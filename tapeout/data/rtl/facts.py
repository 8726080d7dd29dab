"""Facts about an excerpt of RTL, from a parse of the excerpt alone."""

import re
from dataclasses import dataclass, field
from typing import Any

from pyslang.syntax import SyntaxKind

from tapeout.data.rtl.excerpts import Excerpt, Shape, parse, spelling

IDENTIFIER = re.compile(r"[A-Za-z_][\w$]*|\\\S+")
LITERAL_RANGE = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]")
NOT_OF_NETS = (
    SyntaxKind.RegType,
    SyntaxKind.BitType,
    SyntaxKind.ByteType,
    SyntaxKind.ShortIntType,
    SyntaxKind.IntType,
    SyntaxKind.LongIntType,
    SyntaxKind.RealType,
    SyntaxKind.RealTimeType,
    SyntaxKind.ShortRealType,
    SyntaxKind.StringType,
    SyntaxKind.CHandleType,
    SyntaxKind.EventType,
)
"""Types that may not follow the keyword of a net; the parser accepts them in a list of ports."""
BIT_VECTORS = (SyntaxKind.LogicType, SyntaxKind.RegType, SyntaxKind.BitType, SyntaxKind.ImplicitType)


@dataclass(frozen=True)
class Signal:
    """A port, net or variable that is a plain bit or a vector of bits.

    Attributes:
        name: its name, as ``spelling`` returns it.
        type: the words before the range, such as ``logic`` or ``wire signed``; may be empty.
        range: the packed range as written, such as ``[7:0]``; empty for a single bit.
        direction: ``input``, ``output`` or ``inout``; empty for a signal that is not a port.
    """

    name: str
    type: str
    range: str
    direction: str = ""

    @property
    def bits(self) -> int | None:
        """Number of bits, if the range is written in plain numbers."""
        if not self.range:
            return 1
        match = LITERAL_RANGE.fullmatch(self.range)
        return abs(int(match[1]) - int(match[2])) + 1 if match else None


@dataclass
class Facts:
    """Facts that an excerpt states.

    Attributes:
        ports: names of all ports of a header or a sequence of ports, in order.
        directions: direction by port name.
        signals: plain signals by name; names with contradicting declarations are left out.
        parameters: text of the default by name, for value parameters and local parameters.
        instances: distinct names of the instantiated modules, in order.
        bare: whether it is a header or a sequence of ports without parameters and imports, whose ports are
            distinct and all in ``signals``.
        last: the last declaration, if it declares one plain signal and nothing else.
        module: name in the header.
    """

    ports: list[str] = field(default_factory=list)
    directions: dict[str, str] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    instances: list[str] = field(default_factory=list)
    bare: bool = False
    last: Signal | None = None
    module: str = ""


def read_facts(excerpt: Excerpt) -> Facts | None:
    """Return the facts of an excerpt; None if the parser reports any diagnostic, or it is illegal otherwise."""
    before, after = excerpt.shape.value
    tree, members = parse(before + excerpt.text + after)
    if len(tree.diagnostics) or len(members) != 1 or members[0].kind != SyntaxKind.ModuleDeclaration:
        return None
    reader = Reader()
    reader.header(members[0].header)
    for member in members[0].members:
        reader.member(member)
    if reader.is_illegal:
        return None
    facts = reader.facts
    if not all(IDENTIFIER.fullmatch(name) for name in facts.ports):
        facts.ports.clear()
    for name in reader.unclear:
        facts.signals.pop(name, None)
        facts.parameters.pop(name, None)
    header = members[0].header
    facts.module = spelling(header.name)
    facts.bare = (
        excerpt.shape in (Shape.HEADER, Shape.PORTS)
        and header.parameters is None
        and not len(header.imports)
        and len(set(facts.ports)) == len(facts.ports)
        and all(name in facts.signals and name in facts.directions for name in facts.ports)
    )
    return facts


class Reader:
    """Walks a parsed excerpt and collects its facts.

    Attributes:
        facts: the facts so far.
        unclear: names that are declared more than once, or in a way that is not supported.
        declared: names with the kind of their declarations: ports in a list or a body, and all others.
        is_illegal: whether the parser accepts something that no compiler does: a name that is declared twice, a net
            of a type that nets cannot have.
    """

    def __init__(self) -> None:
        """Start without facts."""
        self.facts = Facts()
        self.unclear: set[str] = set()
        self.declared: set[tuple[str, bool]] = set()
        self.is_illegal = False

    def declare(self, name: str, is_port: bool = False) -> None:
        """Note a declaration; a port of a body may be declared once more, as a net or variable."""
        self.is_illegal |= (name, is_port) in self.declared
        self.declared.add((name, is_port))

    def net(self, keyword: str, data_type: Any) -> None:
        """Check the data type after the keyword of a net."""
        self.is_illegal |= bool(keyword) and data_type.kind in NOT_OF_NETS

    def header(self, header: Any) -> None:
        """Read the parameters and ports of a module header."""
        if header.parameters is not None:
            for declaration in header.parameters.declarations:
                if hasattr(declaration, "keyword"):
                    self.parameters(declaration)
        if header.ports is None or header.ports.kind == SyntaxKind.WildcardPortList:
            return
        inherited, kind = "", ("", "")
        for port in header.ports.ports:
            if port.kind == SyntaxKind.ImplicitNonAnsiPort:
                self.facts.ports.append(plain(port))
            elif port.kind == SyntaxKind.ExplicitNonAnsiPort:
                self.facts.ports.append(spelling(port.name))
            elif port.kind == SyntaxKind.ImplicitAnsiPort:
                name = spelling(port.declarator.name)
                self.facts.ports.append(name)
                self.declare(name, is_port=True)
                self.port(port.header)
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
                self.facts.ports.append(spelling(port.name))
                self.declare(spelling(port.name), is_port=True)
                self.unclear.add(spelling(port.name))
                inherited, kind = port.direction.valueText or inherited, UNKNOWN

    def member(self, member: Any) -> None:
        """Read one member of a module's body."""
        self.facts.last = None
        if member.kind == SyntaxKind.ParameterDeclarationStatement:
            self.parameters(member.parameter)
        elif member.kind == SyntaxKind.HierarchyInstantiation:
            name = spelling(member.type)
            if name not in self.facts.instances:
                self.facts.instances.append(name)
            for instance in member.instances:
                if getattr(instance, "decl", None) is not None:
                    self.declare(spelling(instance.decl.name))
        elif member.kind == SyntaxKind.PortDeclaration:
            self.port(member.header)
            direction, words, dimensions = port_type(member.header)
            self.declarators(member.declarators, words, dimensions, direction)
        elif member.kind == SyntaxKind.NetDeclaration:
            self.net(member.netType.valueText, member.type)
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
        """Read the names of one declaration."""
        named = [declarator for declarator in declarators if hasattr(declarator, "name")]
        for declarator in named:
            name = spelling(declarator.name)
            self.declare(name, is_port=bool(direction))
            if direction:
                self.facts.directions[name] = direction
            if words is None or len(declarator.dimensions):
                self.unclear.add(name)
            else:
                signal = Signal(name, words, dimensions, direction)
                self.signal(signal)
                if len(named) == 1 and declarator.initializer is None:
                    self.facts.last = signal

    def port(self, header: Any) -> None:
        """Check the net type in the header of a port, if it has one."""
        net = getattr(header, "netType", None)
        if net is not None:
            self.net(net.valueText, header.dataType)

    def signal(self, signal: Signal) -> None:
        """Add a signal; a second declaration with another range makes the name unclear."""
        known = self.facts.signals.setdefault(signal.name, signal)
        if known.range != signal.range:
            self.unclear.add(signal.name)

    def parameters(self, declaration: Any) -> None:
        """Read the names of one parameter declaration; type parameters are left out."""
        for declarator in declaration.declarators:
            if hasattr(declarator, "name"):
                self.declare(spelling(declarator.name))
            if hasattr(declarator, "initializer") and declarator.initializer is not None:
                name = spelling(declarator.name)
                if name in self.facts.parameters:
                    self.unclear.add(name)
                self.facts.parameters[name] = plain(declarator.initializer.expr)


UNKNOWN = ("?", "?")
"""Type and range of ports that inherit a type that is not supported."""


def port_type(header: Any) -> tuple[str, str | None, str]:
    """Return direction, type words and range of a port header; the words are None unless it is a vector of bits."""
    if header.kind == SyntaxKind.InterfacePortHeader:
        return "", None, ""
    net = getattr(header, "netType", None)
    words, dimensions = vector(header.dataType, net.valueText if net is not None else "")
    variable = getattr(header, "varKeyword", None)
    if variable is not None and variable.valueText:
        words = None
    return header.direction.valueText, words, dimensions


def vector(data_type: Any, net: str) -> tuple[str | None, str]:
    """Return type words and range of a data type; the words are None unless it is a bit or one packed range of bits."""
    if data_type.kind not in BIT_VECTORS or len(data_type.dimensions) > 1:
        return None, ""
    keyword = getattr(data_type, "keyword", None)
    words = [net, keyword.valueText if keyword is not None else "", data_type.signing.valueText]
    return " ".join(word for word in words if word), "".join(map(range_text, data_type.dimensions))


def range_text(dimension: Any) -> str:
    """Return a packed range without spaces next to its brackets; one in plain numbers has no spaces at all."""
    text = plain(dimension)
    match = LITERAL_RANGE.fullmatch(text)
    return f"[{match[1]}:{match[2]}]" if match else f"[{text[1:-1].strip()}]"


def plain(node: Any) -> str:
    """Return the source text of a node with single spaces; empty for an absent node."""
    return " ".join(str(node).split()) if node is not None else ""
