"""Questions about an excerpt of RTL whose answers are facts of its parse; one function per category."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tapeout.data.rtl.excerpts import Excerpt, Shape, in_code
from tapeout.data.rtl.facts import Facts, Signal, read_facts

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

    @property
    def characters(self) -> int:
        """Length of its texts."""
        return len(self.instruction) + len(self.context) + len(self.response)


def ask(excerpt: Excerpt, facts: Facts, dropped: Counter[str]) -> Iterator[Question]:
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
            question = Question(category.__name__, instruction, context, response, kind)
            reason = objection(question, excerpt, facts)
            if reason:
                dropped[reason] += 1
            else:
                yield question


def objection(question: Question, excerpt: Excerpt, facts: Facts) -> str:
    """Return why a question is left out, or an empty string.

    An escaped identifier cannot stand between words, where its end is invisible. An answer that is code, or a part of
    it, is parsed again: the parser must find in it what the answer was made from.
    """
    answer, names, is_right = question.response, question.instruction, True
    match question.category:
        case "module_name" | "list_ports" | "instantiated_modules":
            names = answer
        case "signal_width" if answer.startswith("["):
            vector = reread(f"wire {answer} x;", Shape.ITEMS)
            is_right = vector is not None and vector.signals == {"x": Signal("x", "wire", answer)}
        case "parameter_default":
            value = reread(f"parameter x = {answer};", Shape.ITEMS)
            is_right = value is not None and value.parameters == {"x": answer}
        case "complete_declaration":
            names, whole = "", reread(f"{question.context} {answer}", Shape.ITEMS)
            is_right = whole is not None and (whole.last, whole.signals) == (facts.last, facts.signals)
        case "module_header":
            names, header = "", reread(answer, Shape.HEADER)
            ports = {name: facts.signals[name] for name in facts.ports}
            is_right = (
                header is not None
                and header.bare
                and (header.module, header.ports, header.signals) == (excerpt.module, facts.ports, ports)
            )
    if "\\" in names:
        return "question in words about an escaped identifier"
    return "" if is_right else "question whose answer is not legal Verilog"


@lru_cache(maxsize=4096)
def reread(text: str, shape: Shape) -> Facts | None:
    """Return the facts of an answer; many answers are equal."""
    return read_facts(Excerpt(text, shape, ""))


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
    end = " ".join(word for word in (last.range, f"{in_code(last.name)};") if word)
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
        f"{in_code(port.name)}: {' '.join(filter(None, (port.direction, port.type)))}, {exact_width(port)}"
        for port in ports
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
    lines = [" ".join(filter(None, (port.direction, port.type, port.range, in_code(port.name)))) for port in ports]
    return f"module {module} (\n  " + ",\n  ".join(lines).rstrip() + "\n);"
