"""Questions about an excerpt of RTL whose answers are facts of its parse; one function per category."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tapeout.data.rtl.excerpts import Excerpt, Shape
from tapeout.data.rtl.facts import Facts, Signal

DOWN_TO_ZERO = re.compile(r"\[[1-9]\d*:0\]")
"""A range that is determined by its number of bits; not ``[0:0]``, because a bit without a range has the same width."""
MAX_DEFAULT_CHARACTERS = 40
"""Longer parameter values are tables, not values."""


@dataclass(frozen=True)
class Question:
    """A question and its answer, in Dolly's schema.

    Attributes:
        category: name of the function that asks it.
        instruction: the question.
        context: the excerpt, or what the question is about.
        response: the answer.
        kind: kind of the answer; a balanced selection has equally many of each kind.
    """

    category: str
    instruction: str
    context: str
    response: str
    kind: str


def ask(excerpt: Excerpt, facts: Facts) -> Iterator[Question]:
    """Yield every question that the facts of an excerpt answer."""
    for category in (
        module_name,
        list_ports,
        port_direction,
        signal_width,
        parameter_default,
        instantiated_modules,
        complete_declaration,
        module_header,
    ):
        for instruction, context, response in category(excerpt, facts):
            kind = kind_of_width(response) if category is signal_width else response
            yield Question(category.__name__, instruction, context, response, kind)


Questions = Iterator[tuple[str, str, str]]
"""Instruction, context and response of each question."""


def module_name(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for the name in a module header."""
    if excerpt.shape is Shape.HEADER:
        yield "What is the name of this module?", excerpt.text, excerpt.module


def list_ports(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for all ports in order; an explicit port ``.a(b)`` is listed by its outer name."""
    if facts.ports:
        yield "List the names of the ports in order.", excerpt.text, ", ".join(facts.ports)


def port_direction(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for the direction of a port, which may be inherited from the port before."""
    for name, direction in facts.directions.items():
        yield f"What is the direction of port {name}?", excerpt.text, direction


def signal_width(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for the width: the number of bits if the range is in plain numbers, else the range as written."""
    for name, signal in facts.signals.items():
        yield f"How wide is {name}?", excerpt.text, width(signal)


def width(signal: Signal) -> str:
    """Return the width of a signal: ``1 bit``, ``8 bits`` or a range."""
    if signal.bits is None:
        return signal.range
    return "1 bit" if signal.bits == 1 else f"{signal.bits} bits"


def kind_of_width(answer: str) -> str:
    """Return the kind of a width, so that rare ranges do not crowd out all numbers of bits in a balanced selection."""
    return answer if answer == "1 bit" else "range" if answer.startswith("[") else "bits"


def parameter_default(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for the value in the declaration of a parameter or local parameter, as written."""
    for name, value in facts.parameters.items():
        if len(value) <= MAX_DEFAULT_CHARACTERS:
            yield f"What is the value of parameter {name}?", excerpt.text, value


def instantiated_modules(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for the distinct modules that are instantiated, in order."""
    if facts.instances:
        yield "Which modules are instantiated here?", excerpt.text, ", ".join(facts.instances)


def complete_declaration(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for the end of the last declaration after its type, given name and width, so that one answer is right."""
    last = facts.last
    if last is None or excerpt.shape is not Shape.ITEMS:
        return
    start = " ".join(word for word in (last.direction, last.type) if word)
    end = " ".join(word for word in (last.range, f"{last.name};") if word)
    declaration = f"{start} {end}"
    if not start or not excerpt.text.endswith(declaration):
        return
    down_to_zero = not last.range or DOWN_TO_ZERO.fullmatch(last.range)
    size = f"is {width(last)} wide" if down_to_zero else f"has the range {last.range}"
    yield f"Complete the last declaration: {last.name} {size}.", excerpt.text.removesuffix(end).rstrip(), end


def module_header(excerpt: Excerpt, facts: Facts) -> Questions:
    """Ask for a header in canonical form, given a list of ports (of a module without parameters, or a sequence)."""
    if not facts.bare or not facts.ports:
        return
    ports = [facts.signals[name] for name in facts.ports]
    listed = [
        f"{port.name}: {' '.join(filter(None, (port.direction, port.type)))}, {exact_width(port)}" for port in ports
    ]
    yield (
        f"Write the header of a module {excerpt.module} with these ports.",
        "\n".join(listed),
        render_header(excerpt.module, ports),
    )


def exact_width(signal: Signal) -> str:
    """Return a width that determines the range: bits if the range ends at zero, else the range itself."""
    return width(signal) if not signal.range or DOWN_TO_ZERO.fullmatch(signal.range) else signal.range


def render_header(module: str, ports: list[Signal]) -> str:
    """Return a module header with one port per line."""
    lines = [" ".join(filter(None, (port.direction, port.type, port.range, port.name))) for port in ports]
    return f"module {module} (\n  " + ",\n  ".join(lines) + "\n);"
