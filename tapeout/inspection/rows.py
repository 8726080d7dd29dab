"""Common access to rows of all kinds: documents, questions, conversations."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tapeout.config.instructions import SPLITS
from tapeout.data.io.jsonl import read_jsonl

DOCUMENTS = "documents"
"""The only file of a shard of a pretraining corpus; all of it is training text."""


def split_files(folder: Path) -> dict[str, Path]:
    """Return the files of a set by split."""
    files = {split: folder / f"{split}.jsonl" for split in SPLITS if (folder / f"{split}.jsonl").is_file()}
    return files or {"train": folder / f"{DOCUMENTS}.jsonl"}


def text_of(row: Mapping[str, Any]) -> str:
    """Return all text of a row, for comparison with other rows."""
    if "text" in row:
        return str(row["text"])
    if "conversations" in row:
        return "\n".join(turn["value"] for turn in row["conversations"])
    return f"{row['input']}\n{row['output']}"


def question_of(row: Mapping[str, Any]) -> str:
    """Return the question of a row: rows of two splits with the same question are a leak."""
    if "text" in row:
        return str(row["digest"])
    question = row["conversations"][0]["value"] if "conversations" in row else row["input"]
    return " ".join(question.lower().split())


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file.

    Raises:
        BadRow: a row has no digest.
    """
    return read_jsonl(path, ("digest",))
