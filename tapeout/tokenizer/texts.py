"""Texts of a corpus, with the names of their sources."""

from pathlib import Path

from tapeout.data.io.empty import EmptyCorpus
from tapeout.data.io.jsonl import read_jsonl


def read_texts(path: Path) -> list[str]:
    """Texts of a JSONL corpus, in file order.

    Raises:
        MalformedRow: a line is no JSON object with a string ``text``.
        EmptyCorpus: there is no text.
    """
    return [row["text"] for row in rows(path, ("text",))]


def read_texts_by_source(path: Path) -> dict[str, list[str]]:
    """Texts of a JSONL corpus by source (for RTL: the core), sorted by its name, each in file order.

    Raises:
        MalformedRow: a line is no JSON object with a string ``text`` and a string ``source``.
        EmptyCorpus: there is no text.
    """
    texts: dict[str, list[str]] = {}
    for row in rows(path, ("text", "source")):
        texts.setdefault(row["source"], []).append(row["text"])
    return dict(sorted(texts.items()))


def rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, str]]:
    """All rows; at least one has a text."""
    found = list(read_jsonl(path, fields))
    if not any(row["text"] for row in found):
        raise EmptyCorpus(f"{path.name} holds no text.", "The report.json beside it counts what was dropped and why.")
    return found
