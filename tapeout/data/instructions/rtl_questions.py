"""Select questions about RTL: a balanced set from all excerpts, without a context in two splits.

Rows of held-out cores are selected first: what they ask about is never asked about in a training core, so a test
context cannot have been trained on.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain

from tapeout.data.corpus.documents import Document
from tapeout.data.errors import NotEnoughData
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import digest_of
from tapeout.data.io.isolated import Refusal, isolated
from tapeout.data.io.recognition import is_rtl
from tapeout.data.rtl.excerpts import cut
from tapeout.data.rtl.facts import read_facts
from tapeout.data.rtl.limits import Limits
from tapeout.data.rtl.questions import Question, ask

OTHER_KIND = re.compile(r"\b(?:interface|program|primitive|checker)\s+(?:automatic\s+|static\s+)?([A-Za-z_][\w$]*)")


@dataclass(frozen=True)
class SourcedQuestion:
    """A question and where it comes from.

    Attributes:
        question: instruction, context, response and category.
        source: name of the core.
        group: name of the module; rows of one group share a split.
        licence: licence of the document itself; empty if that of the core applies.
    """

    question: Question
    source: str
    group: str
    licence: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of question and answer in hexadecimal digits; it orders rows without regard to their origin."""
        return digest_of(self.question.instruction, self.question.context, self.question.response)


@dataclass
class FileQuestions:
    """Questions about one file: each excerpt by its skeleton and group, and what was left out, by reason."""

    excerpts: list[tuple[str, str, list[Question]]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def select_questions(
    documents: Iterable[Document], held_out: Sequence[str], limits: Limits, report: ImportReport
) -> list[SourcedQuestion]:
    """Return the balanced questions of all documents, ordered by digest.

    Args:
        documents: documents of all cores; only RTL files are used.
        held_out: names of the held-out cores.
        limits: limits of lengths and numbers.
        report: counts files and questions that are left out, and is updated.

    Raises:
        NotEnoughData: no question can be made from the training cores, or from the held-out ones.
    """
    rtl = [document for document in documents if is_rtl(document.path)]
    seen: set[str] = set()
    not_modules = names_of_other_kinds(rtl)
    selected = []
    for cores, test, max_rows in (
        ("held-out cores", True, limits.max_test_rows_per_category),
        ("training cores", False, limits.max_rows_per_category),
    ):
        part = [document for document in rtl if (document.source in held_out) == test]
        rows = select(candidates(part, limits, not_modules, seen, report), limits.max_rows_per_module, max_rows)
        if not rows:
            raise NotEnoughData(
                f"No question can be made from the {cores}.",
                "Name cores with Verilog or SystemVerilog modules in the corpus section, or raise the "
                "character limits of the set.",
            )
        selected += rows
    return sorted(selected, key=lambda row: row.digest)


def names_of_other_kinds(documents: Iterable[Document]) -> frozenset[str]:
    """Return the names of interfaces, programs, primitives and checkers, whose instances look like those of modules."""
    return frozenset(name for document in documents for name in OTHER_KIND.findall(document.text))


def candidates(
    documents: Sequence[Document], limits: Limits, not_modules: frozenset[str], seen: set[str], report: ImportReport
) -> Iterator[SourcedQuestion]:
    """Yield all rows that are short enough, at most ``max_rows_per_excerpt`` of one category about an excerpt.

    Args:
        documents: RTL files; of several excerpts with the same text the first is used.
        limits: limits of lengths and numbers.
        not_modules: names of interfaces and the like; nothing is asked about instances where one of them occurs.
        seen: skeletons of the excerpts that were used, which is updated.
        report: counts files and questions that are left out, and is updated.
    """
    function = partial(questions_about, limits=limits, not_modules=not_modules)
    files = isolated(function, (document.text for document in documents))
    for document, file in zip(documents, files, strict=True):
        location = f"{document.source}/{document.path}"
        if isinstance(file, Refusal):
            report.drop(f"file that {file.reason}", location)
            continue
        for reason, count in file.dropped.items():
            report.drop(reason, location, count)
        for skeleton, group, questions in file.excerpts:
            if skeleton not in seen:
                seen.add(skeleton)
                by_category: dict[str, list[SourcedQuestion]] = defaultdict(list)
                for question in questions:
                    by_category[question.category].append(
                        SourcedQuestion(question, document.source, group, document.licence)
                    )
                for rows in by_category.values():
                    yield from balanced(rows)[: limits.max_rows_per_excerpt]


def questions_about(text: str, limits: Limits, not_modules: frozenset[str]) -> FileQuestions | Refusal:
    """Return the questions about a file that are short enough; see ``candidates``."""
    result = FileQuestions()
    try:
        for excerpt in cut(text, limits.max_context_characters, limits.max_window_items):
            facts = read_facts(excerpt)
            if facts is None:
                result.dropped["excerpt that is not SystemVerilog"] += 1
                continue
            if not not_modules.isdisjoint(facts.instances):
                facts.instances.clear()
            asked = ask(excerpt, facts, result.dropped)
            short = [question for question in asked if question.characters <= limits.max_row_characters]
            result.excerpts.append((excerpt.skeleton, excerpt.module.lower(), short))
    except RuntimeError:  # the parser's, without a text
        return Refusal("is nested too deeply")
    return result


def select(rows: Iterable[SourcedQuestion], per_module: int, per_category: int) -> list[SourcedQuestion]:
    """Return a balanced selection: no module and no category above its limit, answers as varied as possible."""
    grouped: dict[tuple[str, str], list[SourcedQuestion]] = defaultdict(list)
    for row in rows:
        grouped[row.question.category, row.group].append(row)
    categories: dict[str, list[SourcedQuestion]] = defaultdict(list)
    for (category, _), members in grouped.items():
        categories[category] += balanced(members)[:per_module]
    return list(chain.from_iterable(balanced(categories[name])[:per_category] for name in sorted(categories)))


def balanced(rows: list[SourcedQuestion]) -> list[SourcedQuestion]:
    """Order rows so that each prefix has a balanced mix of answer kinds.

    First comes one row of every kind, then a second of those that have one, and so on. Otherwise digests decide, so the
    order does not depend on the order of files.
    """
    rounds: Counter[str] = Counter()
    ranked = []
    for row in sorted(rows, key=lambda row: row.digest):
        rounds[row.question.kind] += 1
        ranked.append((rounds[row.question.kind], row.digest, row))
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])]
