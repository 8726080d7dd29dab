"""All sides of a set, read once by several processes: counts, what it holds of test rows, and candidates to show."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from tapeout.config.inspection import InspectJob
from tapeout.data.io.jsonl import MalformedRow, parse_row, read_jsonl
from tapeout.data.io.parallel import in_order
from tapeout.inspection import contamination
from tapeout.inspection.contamination import Held
from tapeout.inspection.index import Index
from tapeout.inspection.measures import Languages, Side, measure
from tapeout.inspection.tokens import Shape, Tokens

BATCH = 2**22

Candidates = dict[str, list[tuple[str, str]]]
"""Of each category the rows to show, those of the smallest hashes: hash and digest."""


@dataclass(frozen=True)
class Batch:
    """Some lines of a side.

    Attributes:
        side: its name.
        file: where they stand, from line ``number`` on.
        number: see there.
        lines: the lines.
        shapes: of the rows as they were encoded; None where they are yet to be encoded.
    """

    side: str
    file: Path
    number: int
    lines: list[bytes]
    shapes: list[Shape | None] | None


@dataclass
class Found:
    """What was found in the sides.

    Attributes:
        sides: counts by side.
        held: what the training side has of the test rows, by their numbers.
        candidates: training rows to show.
    """

    sides: dict[str, Side] = field(default_factory=dict)
    held: dict[int, Held] = field(default_factory=dict)
    candidates: Candidates = field(default_factory=dict)

    def add(self, other: "Found", most: int) -> None:
        """What was found in other lines."""
        for name, side in other.sides.items():
            self.sides.setdefault(name, Side()).add(side)
        for row, held in other.held.items():
            self.held[row] = self.held[row] | held if row in self.held else held
        for category, rows in other.candidates.items():
            self.candidates[category] = sorted({*self.candidates.get(category, ()), *rows})[:most]


_ready: tuple[Tokens, Languages] | None = None


def start(index: Index, model: Path, job: InspectJob) -> None:
    """Read in a process what it needs for every batch."""
    global _ready
    contamination.start(index)
    _ready = Tokens(model, job), Languages()


def look_at(
    files: Mapping[str, Path], encoded: Path | None, index: Index, model: Path, job: InspectJob, workers: int
) -> Found:
    """Read all sides; any number of workers finds the same.

    Args:
        files: of the set, by side.
        encoded: folder of an imported source as token ids.
        index: of the test rows.
        model: SentencePiece file.
        job: how to look.
        workers: processes at most; as many as there is work for.

    Raises:
        MalformedRow: a line is no row, or an encoded row is of none.
    """
    found = Found({side: Side() for side in files})
    work = chain.from_iterable(
        batches(side, file, encoded and encoded / f"{side}.jsonl") for side, file in files.items()
    )
    pieces = sum(-(-file.stat().st_size // BATCH) for file in files.values())
    for part in in_order(partial(read, job=job), work, min(workers, pieces), partial(start, index, model, job)):
        found.add(part, job.samples)
    return found


def batches(side: str, file: Path, encoded: Path | None) -> Iterator[Batch]:
    """Lines of a side, with the shapes of the same rows: those that were encoded stand there in the same order."""
    number = 1
    known = None if encoded is None else _shapes(encoded)
    following = next(known, None) if known else None
    with file.open("rb") as stream:
        while lines := stream.readlines(BATCH):
            shapes: list[Shape | None] | None = None
            if known is not None:
                shapes = []
                for place, line in enumerate(lines):
                    same = following and following[0] == parse_row(file, number + place, line, ("digest",))["digest"]
                    shapes.append(following[1] if same and following else None)
                    following = next(known, None) if same else following
            yield Batch(side, file, number, lines, shapes)
            number += len(lines)
    if following is not None and encoded is not None:
        raise MalformedRow(encoded, following[2], f"{file} has no such row here")


def _shapes(encoded: Path) -> Iterator[tuple[str, Shape, int]]:
    for number, row in enumerate(read_jsonl(encoded, ("digest",)), start=1):
        yield row["digest"], Shape(len(row["ids"]), sum(row["mask"][1:])), number


def read(batch: Batch, job: InspectJob) -> Found:
    """``look_at`` for some lines."""
    assert _ready is not None, "start() has not been called in this process"
    tokens, languages = _ready
    numbered = enumerate(batch.lines, start=batch.number)
    rows = [parse_row(batch.file, number, line, ("digest",)) for number, line in numbered]
    shapes = [tokens.shape(row) for row in rows] if batch.shapes is None else batch.shapes
    sides = {batch.side: measure(zip(rows, shapes, strict=True), languages)}
    if batch.side != "train":
        return Found(sides)
    places: Candidates = {}
    for row, shape in zip(rows, shapes, strict=True):
        if shape is not None and shape.fits:
            places.setdefault(row.get("category", ""), []).append((order(row["digest"]), row["digest"]))
    candidates = {category: sorted(members)[: job.samples] for category, members in places.items()}
    return Found(sides, contamination.look(batch.lines, job), candidates)


def chosen(candidates: Candidates, most: int) -> list[str]:
    """Digests of the rows to show: of each category in turn, in an order that only their digests decide."""
    ranked = sorted(
        (number, category, digest)
        for category, members in candidates.items()
        for number, (_, digest) in enumerate(members)
    )
    return [digest for _, _, digest in ranked[:most]]


def lines_of(path: Path, digests: list[str]) -> dict[str, dict[str, Any]]:
    """The first row of each digest; only lines that hold one of them are parsed."""
    wanted = [digest.encode() for digest in digests]
    found: dict[str, dict[str, Any]] = {}
    with path.open("rb") as stream:
        for line in stream:
            if any(digest in line for digest in wanted):
                row = orjson.loads(line)
                if row["digest"] in digests:
                    found.setdefault(row["digest"], row)
    return found


def order(digest: str) -> str:
    """A hash of a digest: independent of splits that were made by digest."""
    return hashlib.sha256(b"sample\n" + digest.encode()).hexdigest()
