"""Scan all splits of a set in one pass over several processes: counts, overlaps with test rows, rows to show."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from tapeout.config.inspection import InspectJob
from tapeout.data.errors import BadRow
from tapeout.data.io.jsonl import parse_row, read_jsonl
from tapeout.data.io.parallel import in_order
from tapeout.encoder.bulk import BulkEncoder, bulk_encoder
from tapeout.encoder.load import load_encoder
from tapeout.inspection import overlap
from tapeout.inspection.control_names import ControlNames
from tapeout.inspection.counts import Languages, RowTokens, SplitCounts, count
from tapeout.inspection.ngram_index import NgramIndex
from tapeout.inspection.overlap import Overlap

BATCH = 2**22
"""Bytes of rows that a process reads at a time."""
DTYPE = np.dtype(np.uint32)

Candidates = dict[str, list[tuple[str, str]]]
"""Training rows that may be shown, by category, those with the smallest hashes: hash and digest."""


@dataclass(frozen=True)
class Batch:
    """Consecutive lines of a split.

    Attributes:
        split: name of the split.
        file: its file.
        number: number of the first line.
        lines: the lines.
        tokens: tokens of each row in the encoded set, None for a row that it does not have; None for documents.
    """

    split: str
    file: Path
    number: int
    lines: list[bytes]
    tokens: list[RowTokens | None] | None


@dataclass
class Scan:
    """Result of a scan, or of a part of it.

    Attributes:
        splits: counts by split.
        overlaps: overlaps of the training split with test rows, by index of the test row.
        candidates: training rows that may be shown.
    """

    splits: dict[str, SplitCounts] = field(default_factory=dict)
    overlaps: dict[int, Overlap] = field(default_factory=dict)
    candidates: Candidates = field(default_factory=dict)

    def add(self, other: "Scan", max_samples: int) -> None:
        """Add the result of other lines."""
        for name, counts in other.splits.items():
            self.splits.setdefault(name, SplitCounts()).add(counts)
        overlap.merge(self.overlaps, other.overlaps)
        for category, rows in other.candidates.items():
            self.candidates[category] = sorted({*self.candidates.get(category, ()), *rows})[:max_samples]


_tools: tuple[BulkEncoder, Languages, ControlNames] | None = None


def start(index: NgramIndex, tokenizer: Path) -> None:
    """Load in this process what it needs for every batch."""
    global _tools
    overlap.start(index)
    encoder = load_encoder(tokenizer)
    _tools = bulk_encoder(encoder, DTYPE, append_eos=False), Languages(), ControlNames(encoder)


def scan_splits(
    files: Mapping[str, Path], encoded: Path | None, index: NgramIndex, tokenizer: Path, job: InspectJob, workers: int
) -> Scan:
    """Scan all splits of a set. The result does not depend on the number of workers.

    Raises:
        BadRow: a line is not a row, or an encoded row does not belong to any row.
    """
    result = Scan({split: SplitCounts() for split in files})
    work = chain.from_iterable(
        batches(split, file, encoded and encoded / f"{split}.jsonl") for split, file in files.items()
    )
    pieces = sum(-(-file.stat().st_size // BATCH) for file in files.values())
    for part in in_order(partial(scan, job=job), work, min(workers, pieces), partial(start, index, tokenizer)):
        result.add(part, job.samples)
    return result


def batches(split: str, file: Path, encoded: Path | None) -> Iterator[Batch]:
    """Yield the lines of a split, with the tokens of the same rows; encoded rows are in the same order."""
    number = 1
    known = None if encoded is None else _token_counts(encoded)
    following = next(known, None) if known else None
    with file.open("rb") as stream:
        while lines := stream.readlines(BATCH):
            tokens: list[RowTokens | None] | None = None
            if known is not None:
                tokens = []
                for index, line in enumerate(lines):
                    same = following and following[0] == parse_row(file, number + index, line, ("digest",))["digest"]
                    tokens.append(following[1] if same and following else None)
                    following = next(known, None) if same else following
            yield Batch(split, file, number, lines, tokens)
            number += len(lines)
    if following is not None and encoded is not None:
        raise BadRow.of_line(encoded, following[2], f"{file} does not have this row")


def _token_counts(encoded: Path) -> Iterator[tuple[str, RowTokens, int]]:
    """Yield digest, tokens and line number of each encoded row; the first token is never predicted."""
    for number, row in enumerate(read_jsonl(encoded, ("digest",)), start=1):
        yield row["digest"], RowTokens(len(row["ids"]), sum(row["mask"][1:])), number


def scan(batch: Batch, job: InspectJob) -> Scan:
    """Scan some lines; see ``scan_splits``."""
    assert _tools is not None, "start() has not been called in this process"
    encoder, languages, names = _tools
    numbered = enumerate(batch.lines, start=batch.number)
    rows = [parse_row(batch.file, number, line, ("digest",)) for number, line in numbered]
    tokens = batch.tokens
    if tokens is None:
        sizes = [len(encoder.encode(row["text"])) // DTYPE.itemsize for row in rows]
        tokens = [RowTokens(size, size) for size in sizes]
    splits = {batch.split: count(zip(rows, tokens, strict=True), languages, names)}
    if batch.split != "train":
        return Scan(splits)
    members: Candidates = {}
    for row, own in zip(rows, tokens, strict=True):
        if own is not None:
            members.setdefault(row.get("category", ""), []).append((sample_hash(row["digest"]), row["digest"]))
    candidates = {category: sorted(digests)[: job.samples] for category, digests in members.items()}
    return Scan(splits, overlap.overlaps_of(batch.lines, job), candidates)


def choose_samples(candidates: Candidates, max_samples: int) -> list[str]:
    """Return digests of the rows to show, alternating between categories, in an order that depends on digests only."""
    ranked = sorted(
        (rank, category, digest) for category, members in candidates.items() for rank, (_, digest) in enumerate(members)
    )
    return [digest for _, _, digest in ranked[:max_samples]]


def sample_hash(digest: str) -> str:
    """Return a hash of a digest that is independent of splits made by digest."""
    return hashlib.sha256(b"sample\n" + digest.encode()).hexdigest()
