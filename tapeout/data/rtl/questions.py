"""Questions about an excerpt of RTL whose answers are facts of its parse. One function a category."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tapeout.data.rtl.excerpts import Excerpt, Shape
from tapeout.data.rtl.facts import Facts, Signal

DOWN_TO_ZERO = re.compile(r"\[[1-9]\d*:0\]")
"""A range that its number of bits determines; ``[0:0]`` is not one, because a bit without a range is as wide."""
LONGEST_DEFAULT = 40
"""Characters; longer parameter values are tables, not values."""


@dataclass(frozen=True)
class Question:
    """One row in the making, in Dolly's schema.

    Attributes:
        category, instruction, context, response: the row's fields.
        kind: sort of answer; a balanced choice of rows has as many of each sort.
    """

    category: str
    instruction: str
    context: str
    response: str
    kind: str


def ask(excerpt: Excerpt, facts: Facts) -> Iterator[Question]:
    """Yield every question that the facts of an excerpt can answer."""
    for make in (
        module_name,
        list_ports,
        port_direction,
        signal_width,
        parameter_default,
        instantiated_modules,
        complete_declaration,
        module_header,
    ):
        for instruction, context, response in make(excerpt, facts):
            kind = kind_of_width(response) if make is signal_width else response
            yield Question(make.__name__, instruction, context, response, kind)


Answered = Iterator[tuple[str, str, str]]
"""Instruction, context and response."""


def module_name(excerpt: Excerpt, facts: Facts) -> Answered:
    """The name in a module header."""
    if excerpt.shape is Shape.HEADER:
        yield "What is the name of this module?", excerpt.text, excerpt.module


def list_ports(excerpt: Excerpt, facts: Facts) -> Answered:
    """All ports in order; an explicit port ``.a(b)`` goes by its outer name."""
    if facts.ports:
        yield "List the names of the ports in order.", excerpt.text, ", ".join(facts.ports)


def port_direction(excerpt: Excerpt, facts: Facts) -> Answered:
    """Direction of one port, also where it is inherited from the port before."""
    for name, direction in facts.directions.items():
        yield f"What is the direction of port {name}?", excerpt.text, direction


def signal_width(excerpt: Excerpt, facts: Facts) -> Answered:
    """Number of bits where it is written in plain numbers, else the range as it is written."""
    for name, signal in facts.signals.items():
        yield f"How wide is {name}?", excerpt.text, width(signal)


def width(signal: Signal) -> str:
    """Width in words: ``1 bit``, ``8 bits`` or a range."""
    if signal.bits is None:
        return signal.range
    return "1 bit" if signal.bits == 1 else f"{signal.bits} bits"


def kind_of_width(answer: str) -> str:
    """One bit, some number of bits, or a range: without it rare ranges would crowd out all numbers."""
    return answer if answer == "1 bit" else "range" if answer.startswith("[") else "bits"


def parameter_default(excerpt: Excerpt, facts: Facts) -> Answered:
    """The value that a parameter or local parameter is given in its declaration, as it is written."""
    for name, value in facts.parameters.items():
        if len(value) <= LONGEST_DEFAULT:
            yield f"What is the value of parameter {name}?", excerpt.text, value


def instantiated_modules(excerpt: Excerpt, facts: Facts) -> Answered:
    """The modules of which there are instances, in order, each once."""
    if facts.instances:
        yield "Which modules are instantiated here?", excerpt.text, ", ".join(facts.instances)


def complete_declaration(excerpt: Excerpt, facts: Facts) -> Answered:
    """The end of the last declaration, after its type; its name and width are told, so that one end only is right."""
    last = facts.last
    if last is None or excerpt.shape is not Shape.ITEMS:
        return
    start = " ".join(word for word in (last.direction, last.type) if word)
    end = " ".join(word for word in (last.range, f"{last.name};") if word)
    whole = f"{start} {end}"
    if not start or not excerpt.text.endswith(whole):
        return
    down_to_zero = not last.range or DOWN_TO_ZERO.fullmatch(last.range)
    size = f"is {width(last)} wide" if down_to_zero else f"has the range {last.range}"
    yield f"Complete the last declaration: {last.name} {size}.", excerpt.text.removesuffix(end).rstrip(), end


def module_header(excerpt: Excerpt, facts: Facts) -> Answered:
    """A header in one canonical form, from a list of ports (all of a module without parameters, or a run of them)."""
    if not facts.bare or not facts.ports:
        return
    ports = [facts.signals[name] for name in facts.ports]
    listed = [f"{each.name}: {' '.join(filter(None, (each.direction, each.type)))}, {size(each)}" for each in ports]
    yield (
        f"Write the header of a module {excerpt.module} with these ports.",
        "\n".join(listed),
        render_header(excerpt.module, ports),
    )


def size(signal: Signal) -> str:
    """Width from which the range can be written: bits where the range runs down to zero, else the range itself."""
    return width(signal) if not signal.range or DOWN_TO_ZERO.fullmatch(signal.range) else signal.range


def render_header(module: str, ports: list[Signal]) -> str:
    """A module header with one port a line."""
    lines = [" ".join(filter(None, (each.direction, each.type, each.range, each.name))) for each in ports]
    return f"module {module} (\n  " + ",\n  ".join(lines) + "\n);"
