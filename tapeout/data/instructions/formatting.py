"""From instruction, context and response to input and output: the prompt-response form of the NeMo SFT guide.

What the guide's own script does is put right: the coin that decides whether the context or the instruction comes first
is a function of a seed and the row (F36), citation marks are removed only if the config says so (F37), and one rule
for white space holds for every field of every row (F38).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tapeout.config.instructions import FormattedInstructions
from tapeout.data.instructions.rtl_questions import digest_of
from tapeout.data.io.jsonl import MalformedRow, read_jsonl
from tapeout.errors import TapeoutError

FIELDS = ("instruction", "context", "response", "category")
CITATION = re.compile(r"\[\d+\]")
SEPARATOR = "\n\n"


def clean(text: str) -> str:
    """The one white-space rule: Unix line ends, no blanks at the ends of lines, none around the text."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def format_rows(
    path: Path, rows: Iterable[Mapping[str, Any]], settings: FormattedInstructions
) -> Iterator[dict[str, str]]:
    """Yield rows with input, output, category, source, licence, group and digest.

    Args:
        path: the file of the rows, for messages.
        rows: rows with instruction, context, response and category; source, licence and group are optional, and a row
            without a group is its own.
        settings: seed of the coin, and whether citation marks go.

    Raises:
        MalformedRow: an instruction or a response is empty.
    """
    for number, row in enumerate(rows, start=1):
        instruction, context, response = (clean(row[name]) for name in ("instruction", "context", "response"))
        if not instruction or not response:
            raise MalformedRow(path, number, "the instruction or the response is empty")
        if settings.strip_citations:
            context = clean(CITATION.sub("", context))
        digest = digest_of(instruction, context, response, row["category"])
        yield {
            "input": join(instruction, context, context_first(settings.seed, digest)),
            "output": response,
            "category": row["category"],
            "source": row.get("source", ""),
            "licence": row.get("licence", ""),
            "group": row.get("group") or digest,
            "digest": digest,
        }


class NoOwnRows(TapeoutError):
    """A source of own rows has no file of rows."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"Source {source}, named in instructions.own, has no .jsonl file with a row.",
            "Give it one, or take the name out of instructions.own.",
        )


def own_rows(folder: Path, source: str, licence: str, settings: FormattedInstructions) -> Iterator[dict[str, str]]:
    """Rows that people wrote, formatted, with the source and the licence that the sources file gives them.

    Raises:
        MalformedRow: a line is no JSON object with the four fields, or has a field that means nothing here.
        NoOwnRows: there is no row.
    """
    count = 0
    for path in sorted(folder.rglob("*.jsonl")):
        for row in format_rows(path, _signed(path, {"source": source, "licence": licence}), settings):
            count += 1
            yield row
    if not count:
        raise NoOwnRows(source)


def _signed(path: Path, signature: dict[str, str]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_jsonl(path, FIELDS), start=1):
        unknown = sorted(row.keys() - {*FIELDS, "group"})
        if unknown or not isinstance(row.get("group", ""), str):
            raise MalformedRow(path, number, f"field {(unknown or ['group'])[0]!r} is unknown or not a string")
        yield row | signature


def context_first(seed: int, digest: str) -> bool:
    """A fair coin that belongs to the row: the same on every machine, in any order, among any other rows."""
    return int(digest_of(str(seed), digest), 16) % 2 == 0


def join(instruction: str, context: str, context_leads: bool) -> str:
    """Instruction and context with an empty line between them; the instruction alone if there is no context."""
    if not context:
        return instruction
    return SEPARATOR.join((context, instruction) if context_leads else (instruction, context))
