"""Instruction rows from RTL: asked of every excerpt, thinned to a balanced set, never the same context twice.

Rows of held-out cores come first in every choice: what they ask about is never asked about in a training core, so a
test context cannot have been trained on (fault F40, trap D9).
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import orjson

from tapeout.config.corpus import RTL_SUFFIXES
from tapeout.config.instructions import RawInstructions
from tapeout.data.corpus.documents import Document
from tapeout.data.rtl.excerpts import Excerpt, cut
from tapeout.data.rtl.facts import read_facts
from tapeout.data.rtl.questions import Question, ask
from tapeout.errors import TapeoutError

OTHER_KIND = re.compile(r"\b(?:interface|program|primitive)\s+(?:automatic\s+|static\s+)?([A-Za-z_][\w$]*)")


class NoInstructions(TapeoutError):
    """The sources give no row, of one side at least."""

    def __init__(self, side: str) -> None:
        super().__init__(
            f"The {side} give no instruction row.",
            "Name cores with Verilog or SystemVerilog modules in the corpus section, or raise the limits of "
            "characters in the instructions section.",
        )


@dataclass(frozen=True)
class Row:
    """One instruction with where it comes from.

    Attributes:
        question: instruction, context, response and category.
        source: name of the core.
        group: name of the module; rows of one group never lie on both sides of a split.
    """

    question: Question
    source: str
    group: str

    @property
    def digest(self) -> str:
        """SHA-256 of what is asked and answered, in hexadecimal digits; it orders rows without regard to origin."""
        return digest_of(self.question.instruction, self.question.context, self.question.response)


def digest_of(*parts: str) -> str:
    """SHA-256 of a list of strings, in hexadecimal digits; no two lists run together."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def instruction_rows(documents: Iterable[Document], held_out: Sequence[str], limits: RawInstructions) -> list[Row]:
    """The balanced rows of all documents, in the order of their digests.

    Raises:
        NoInstructions: the training cores, or the held-out ones, give no row.
    """
    documents = [each for each in documents if each.path.endswith(RTL_SUFFIXES)]
    test = [each for each in documents if each.source in held_out]
    train = [each for each in documents if each.source not in held_out]
    seen: set[str] = set()
    others = names_of_other_kinds(documents)
    chosen = []
    for side, part, most in (
        ("held-out cores", test, limits.test_rows_per_category),
        ("training cores", train, limits.rows_per_category),
    ):
        rows = select(candidates(part, limits, others, seen), limits.rows_per_module, most)
        if not rows:
            raise NoInstructions(side)
        chosen += rows
    return sorted(chosen, key=lambda row: row.digest)


def names_of_other_kinds(documents: Iterable[Document]) -> frozenset[str]:
    """Names of interfaces, programs and primitives, of which instances look just like those of modules."""
    return frozenset(name for document in documents for name in OTHER_KIND.findall(document.text))


def candidates(
    documents: Iterable[Document], limits: RawInstructions, others: frozenset[str], seen: set[str]
) -> Iterator[Row]:
    """All rows that are short enough, at most ``rows_per_excerpt`` of one category about an excerpt.

    Args:
        documents: RTL files; the first of several excerpts with the same text is the one that is used.
        limits: bounds on lengths and numbers.
        others: names of what is no module; nothing is asked about instances where one of them occurs.
        seen: skeletons of the excerpts that are used already; grows.
    """
    for document in documents:
        for excerpt in cut(document.text, limits.context_characters, limits.window_items):
            if excerpt.skeleton in seen:
                continue
            seen.add(excerpt.skeleton)
            yield from rows_about(excerpt, document.source, limits, others)


def rows_about(excerpt: Excerpt, source: str, limits: RawInstructions, others: frozenset[str]) -> Iterator[Row]:
    """Rows about one excerpt; see ``candidates``."""
    facts = read_facts(excerpt)
    if facts is None:
        return
    if not others.isdisjoint(facts.instances):
        facts.instances.clear()
    by_category: dict[str, list[Row]] = defaultdict(list)
    for question in ask(excerpt, facts):
        if len(question.instruction) + len(question.context) + len(question.response) <= limits.row_characters:
            by_category[question.category].append(Row(question, source, excerpt.module.lower()))
    for rows in by_category.values():
        yield from take_turns(rows)[: limits.rows_per_excerpt]


def select(rows: Iterable[Row], per_module: int, per_category: int) -> list[Row]:
    """A balanced choice: no module and no category beyond its bound, answers as varied as can be."""
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.question.category, row.group].append(row)
    categories: dict[str, list[Row]] = defaultdict(list)
    for (category, _), members in grouped.items():
        categories[category] += take_turns(members)[:per_module]
    return list(chain.from_iterable(take_turns(categories[name])[:per_category] for name in sorted(categories)))


def take_turns(rows: list[Row]) -> list[Row]:
    """Order rows so that any first part of them has its kinds of answers in balance.

    The kinds take turns: first one row of every kind, then a second of those that have one. Within a kind, and within
    a turn, digests decide, so the order does not depend on the order of files.
    """
    turns: Counter[str] = Counter()
    ranked = []
    for row in sorted(rows, key=lambda row: row.digest):
        turns[row.question.kind] += 1
        ranked.append((turns[row.question.kind], row.digest, row))
    return [row for _, _, row in sorted(ranked, key=lambda each: each[:2])]
