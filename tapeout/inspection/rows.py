"""What the sets have in common, whatever their rows are: documents, instruction rows, conversations."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tapeout.config.instructions import SPLITS
from tapeout.data.io.jsonl import read_jsonl

DOCUMENTS = "documents"
"""The one side of a shard of a pretraining corpus: all of it trains."""


def sides_of(folder: Path) -> dict[str, Path]:
    """The files of a set by side; a shard's documents all train."""
    found = {side: folder / f"{side}.jsonl" for side in SPLITS if (folder / f"{side}.jsonl").is_file()}
    return found or {"train": folder / f"{DOCUMENTS}.jsonl"}


def text_of(row: Mapping[str, Any]) -> str:
    """All that a row says, for comparing it with other rows."""
    if "text" in row:
        return str(row["text"])
    if "conversations" in row:
        return "\n".join(turn["value"] for turn in row["conversations"])
    return f"{row['input']}\n{row['output']}"


def question_of(row: Mapping[str, Any]) -> str:
    """What is asked: two rows with the same question on two sides of a split are a leak."""
    if "text" in row:
        return str(row["digest"])
    question = row["conversations"][0]["value"] if "conversations" in row else row["input"]
    return " ".join(question.lower().split())


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file.

    Raises:
        MalformedRow: a row has no digest.
    """
    return read_jsonl(path, ("digest",))
