"""Questions with the passages that answer them, from the rows of an instruction set of the format ``rtl``.

A row asks about an excerpt that it shows. Here the excerpt is what has to be found, so the question names the module
instead: "In the module csr_unit: How wide is mepc?". A passage is right if it contains a whole line of the excerpt with
the name that is asked about, or, for lists, with the first name of the answer.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tapeout.config.passages import QuestionsJob
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import read_jsonl, write_json, write_jsonl
from tapeout.data.io.recognition import is_rtl
from tapeout.retrieval.excerpts import RtlDocument, modules_by_name
from tapeout.retrieval.passages import SPLITS, Passage, read_passages
from tapeout.retrieval.question import Question

ASKED = {
    "port_direction": re.compile(r"What is the direction of port (?P<name>\S+)\?"),
    "signal_width": re.compile(r"How wide is (?P<name>\S+)\?"),
    "parameter_default": re.compile(r"What is the value of parameter (?P<name>\S+)\?"),
    "list_ports": re.compile(r"List the names of the ports in order\."),
    "instantiated_modules": re.compile(r"Which modules are instantiated here\?"),
}
"""Questions that make sense without their excerpt, by category; others ask for the module's name or contain code."""


def write_questions(
    rows: Path, corpora: Sequence[Path], passages: Path, job: QuestionsJob, output: Path
) -> dict[str, dict[str, int]]:
    """Write train.jsonl and test.jsonl, the questions of each split, and report.json with what was left out.

    Training questions come from training cores and their right passages from the training split, test questions from
    held-out cores and the test split.

    Args:
        rows: folder of the instruction set.
        corpora: folders of the corpora that were cut.
        passages: folder of their passages.
        job: separator of the rows and held-out cores.
        output: folder to make.

    Returns:
        The content of report.json: questions, and rows that were left out by reason, of each split.

    Raises:
        NotEnoughData: a split has no question.
    """
    modules = modules_by_name(document for split in SPLITS for document in _rtl(corpora, split))
    output.mkdir()
    report = {}
    for split in SPLITS:
        counts: Counter[str] = Counter()
        cores = [
            row
            for row in read_jsonl(rows / f"{split}.jsonl", ("input", "output", "category", "source", "group"))
            if (row["source"] in job.held_out) == (split == "test")
        ]
        questions = find_all(cores, modules, read_passages(passages / f"{split}.jsonl"), job.separator, counts)
        if not questions:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
            raise NotEnoughData(
                f"No question about the {split} split has a right passage (rows left out: {reasons or 'none'}).",
                "Name a set of the format rtl under retrieval.questions whose cores are those of corpus.domain.",
            )
        write_jsonl(output / f"{split}.jsonl", (question._asdict() for question in questions))
        report[split] = {"questions": len(questions), **dict(sorted(counts.items()))}
    write_json(output / "report.json", report)
    return report


def find_all(
    rows: Iterable[Mapping[str, str]],
    modules: Mapping[str, Sequence[tuple[RtlDocument, tuple[int, int]]]],
    passages: Iterable[Passage],
    separator: str,
    counts: Counter[str],
) -> list[Question]:
    """Return the questions of rows, in the order of their digests; equal ones are merged.

    Args:
        rows: rows of the instruction set.
        modules: definitions of each module; a module with several is ambiguous.
        passages: passages of the documents.
        separator: text between question and excerpt.
        counts: rows that are left out, by reason, and is updated.
    """
    by_document = defaultdict(list)
    for passage in passages:
        by_document[passage.document].append(passage)
    found: dict[str, Question] = {}
    for row in rows:
        outcome = find(row, modules, by_document, separator)
        if isinstance(outcome, str):
            counts[outcome] += 1
        elif outcome.question in found:
            counts["merged with an equal question"] += 1
            both = dict.fromkeys((*found[outcome.question].passages, *outcome.passages))
            found[outcome.question] = found[outcome.question]._replace(passages=tuple(sorted(both)))
        else:
            found[outcome.question] = outcome
    return sorted(found.values(), key=lambda question: question.digest)


def find(
    row: Mapping[str, str],
    modules: Mapping[str, Sequence[tuple[RtlDocument, tuple[int, int]]]],
    passages: Mapping[str, Sequence[Passage]],
    separator: str,
) -> Question | str:
    """Return the question of a row with its right passages, or why it has none."""
    pattern, module = ASKED.get(row["category"]), row["group"]
    if pattern is None:
        return "category that asks about the excerpt itself"
    first, _, after = row["input"].partition(separator)
    before, _, last = row["input"].rpartition(separator)
    match, excerpt = pattern.fullmatch(first), after
    if match is None:
        match, excerpt = pattern.fullmatch(last), before
    if match is None:
        return "question of an unknown form"
    definitions = modules.get(module, ())
    if len(definitions) > 1:
        return "ambiguous: the module is defined more than once"
    if not definitions or definitions[0][0].source != row["source"]:
        return "module is not in the corpus"
    document, span = definitions[0]
    occurrences = document.find(excerpt, span)
    if len(occurrences) != 1:
        return "ambiguous: the excerpt occurs more than once" if occurrences else "excerpt is not in the corpus"
    name = match.groupdict().get("name") or row["output"].split(", ")[0]
    right = [
        passage.id
        for start, end in document.lines_with(name, occurrences[0])
        for passage in passages.get(document.digest, ())
        if passage.start <= start and end <= passage.end
    ]
    if not right:
        return "no passage contains the whole line"
    question = f"In the module {module}: {match[0]}"
    return Question(question, row["category"], row["source"], module, tuple(sorted(set(right))))


def _rtl(corpora: Sequence[Path], split: str) -> list[RtlDocument]:
    rows = (row for corpus in corpora for row in read_jsonl(corpus / f"{split}.jsonl", ("text", "path", "digest")))
    unique = {row["digest"]: row for row in rows if is_rtl(row["path"])}
    return [RtlDocument(row) for row in unique.values()]
