"""Passages: consecutive, overlapping parts of the documents of a corpus, each with its origin.

A passage ends at a line end where there is one in its second half. The passages of a document cover it completely.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from tapeout.config.passages import PassagesJob
from tapeout.data.io.jsonl import read_jsonl, write_json, write_jsonl

SPLITS = ("train", "test")


class Passage(NamedTuple):
    """Part of a document.

    Attributes:
        text: its text.
        document: SHA-256 of the whole text of the document.
        source: source of the document (for RTL: the core).
        path: path of the document inside the source.
        start, end: its bytes in the UTF-8 text of the document.
        licence: licence of the document.
    """

    text: str
    document: str
    source: str
    path: str
    start: int
    end: int
    licence: str

    @property
    def id(self) -> str:
        """Name that no other passage of the corpora has."""
        return f"{self.document[:16]}:{self.start}"

    @property
    def title(self) -> str:
        """Source and path."""
        return f"{self.source}/{self.path}"

    @property
    def searched(self) -> str:
        """Text that indexes contain: file names often have the name of a module, which most of its text lacks."""
        return f"{self.source} {PurePosixPath(self.path).name}\n{self.text}"

    @classmethod
    def of_row(cls, row: Mapping[str, object]) -> Self:
        """Return the passage of a row of ``passages.jsonl``."""
        return cls(**{name: row[name] for name in cls._fields})  # type: ignore[arg-type]


def cut(text: str, characters: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of the passages of a text, in characters: consecutive, without a gap.

    Args:
        text: a text that is not empty.
        characters: maximum length of a span.
        overlap: maximum length of what two spans share, less than half of ``characters``.
    """
    lines = [0, *(index + 1 for index, character in enumerate(text) if character == "\n")]
    start = 0
    while True:
        end = min(start + characters, len(text))
        if end < len(text):
            last = lines[bisect_left(lines, end + 1) - 1]
            end = last if last > start + characters // 2 else end
        yield start, end
        if end == len(text):
            return
        wanted = end - overlap
        index = bisect_left(lines, wanted)
        start = lines[index] if index < len(lines) and lines[index] <= end else wanted


def passages_of(row: Mapping[str, str], job: PassagesJob) -> Iterator[Passage]:
    """Yield the passages of a document, a row of a corpus."""
    text = row["text"]
    offsets = [0, *accumulate(len(character.encode()) for character in text)]
    for start, end in cut(text, job.characters, job.overlap):
        origin = row["digest"], row["source"], row["path"], offsets[start], offsets[end], row["licence"]
        yield Passage(text[start:end], *origin)


def write_passages(corpora: Sequence[Path], job: PassagesJob, output: Path) -> None:
    """Write train.jsonl and test.jsonl, the passages of each split of the corpora, and report.json with their numbers.

    A document that several corpora contain is cut once.
    """
    output.mkdir()
    report = {}
    for split in SPLITS:
        counts: Counter[str] = Counter(documents=0, passages=0, characters=0)
        rows = _passages(corpora, split, job, counts)
        counts["passages"] = write_jsonl(output / f"{split}.jsonl", (passage._asdict() for passage in rows))
        report[split] = dict(counts)
    write_json(output / "report.json", report)


def _passages(corpora: Sequence[Path], split: str, job: PassagesJob, counts: Counter[str]) -> Iterator[Passage]:
    seen: set[str] = set()
    for corpus in corpora:
        for row in read_jsonl(corpus / f"{split}.jsonl", ("text", "digest", "source", "path", "licence")):
            if row["text"] and row["digest"] not in seen:
                seen.add(row["digest"])
                counts["documents"] += 1
                counts["characters"] += len(row["text"])
                yield from passages_of(row, job)


def read_splits(folder: Path, splits: Sequence[str]) -> list[Passage]:
    """Return the passages of several splits, in the order of the splits."""
    return [passage for split in splits for passage in read_passages(folder / f"{split}.jsonl")]


def read_passages(path: Path) -> list[Passage]:
    """Return the passages of a file, in its order.

    Raises:
        BadRow: a line is not a passage.
    """
    return [Passage.of_row(row) for row in read_jsonl(path, ("text", "document", "source", "path", "licence"))]
