"""Instruction rows encoded by several processes, held as two arrays: six bytes an id, not a list of Python numbers."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapeout.data.encode.packed import Row, write_packed
from tapeout.data.encode.prompt import encode_example
from tapeout.data.io.empty import EmptyCorpus
from tapeout.data.io.jsonl import parse_row, write_json
from tapeout.data.io.parallel import in_order
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder

BATCH = 2**18
"""Bytes of rows that go to a process at once."""
FIELDS = ("input", "output")

Lines = tuple[int, list[bytes]]
"""Number of the first of some lines, and the lines."""


@dataclass
class Flat:
    """Rows one after another; ``too_long`` counts those that were left out."""

    ids: "array[int]" = field(default_factory=lambda: array("i"))
    mask: bytearray = field(default_factory=bytearray)
    ends: "array[int]" = field(default_factory=lambda: array("q", [0]))
    too_long: int = 0

    def add(self, ids: list[int], mask: list[int]) -> None:
        """One row more."""
        self.ids.extend(ids)
        self.mask.extend(mask)
        self.ends.append(len(self.ids))

    def __iadd__(self, other: "Flat") -> "Flat":
        before = len(self.ids)
        self.ids.extend(other.ids)
        self.mask.extend(other.mask)
        self.ends.extend(before + end for end in other.ends[1:])
        self.too_long += other.too_long
        return self

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, place: int) -> Row:
        part = slice(self.ends[place], self.ends[place + 1])
        ids: NDArray[np.int32] = np.frombuffer(self.ids, dtype=np.int32)[part]
        mask: NDArray[np.uint8] = np.frombuffer(self.mask, dtype=np.uint8)[part]
        return ids, mask

    def __iter__(self) -> Iterator[Row]:
        return (self[place] for place in range(len(self)))


_encoder: Encoder | None = None


def start(model: Path) -> None:
    """Read the model in a process that is going to encode."""
    global _encoder
    _encoder = load_encoder(model)


def pack_file(path: Path, model: Path, template: str, length: int, output: Path, workers: int) -> None:
    """Pack the rows of a file into the new folder ``output``; report.json has the counts.

    A row that is longer than a sequence is left out and counted, never cut (F47).

    Args:
        path: rows with input and output, JSONL.
        model: SentencePiece file.
        template: of the prompt.
        length: places of a sequence.
        output: is made.
        workers: processes.

    Raises:
        MalformedRow: a line is no JSON object with an input and an output.
        EmptyCorpus: no row is short enough.
    """
    rows = Flat()
    encode = partial(encode_lines, path=path, template=template, length=length)
    for part in in_order(encode, _batches(path), workers, partial(start, model)):
        rows += part
    if not len(rows):
        raise EmptyCorpus(f"{path.name} has no row of at most {length} tokens.", "Add rows, or raise sft.seq_length.")
    output.mkdir()
    write_json(output / "report.json", {**write_packed(rows, output, length), "too long": rows.too_long})


def _batches(path: Path) -> Iterator[Lines]:
    first = 1
    with path.open("rb") as stream:
        while lines := stream.readlines(BATCH):
            yield first, lines
            first += len(lines)


def encode_lines(numbered: Lines, path: Path, template: str, length: int) -> Flat:
    """Encode some rows."""
    assert _encoder is not None, "start() has not been called in this process"
    made = Flat()
    first, lines = numbered
    for number, line in enumerate(lines, start=first):
        row = parse_row(path, number, line, FIELDS)
        ids, mask = encode_example(_encoder, template, row["input"], row["output"])
        if len(ids) > length + 1:
            made.too_long += 1
        else:
            made.add(ids, mask)
    return made
