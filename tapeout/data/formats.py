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
from tapeout.data.instructions import digest_of
from tapeout.data.jsonl import MalformedRow

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


def context_first(seed: int, digest: str) -> bool:
    """A fair coin that belongs to the row: the same on every machine, in any order, among any other rows."""
    return int(digest_of(str(seed), digest), 16) % 2 == 0


def join(instruction: str, context: str, context_leads: bool) -> str:
    """Instruction and context with an empty line between them; the instruction alone if there is no context."""
    if not context:
        return instruction
    return SEPARATOR.join((context, instruction) if context_leads else (instruction, context))
