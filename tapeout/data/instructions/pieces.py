"""A source cut into pieces that several processes can read at the same time: some whole lines, or a whole file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tapeout.config.imported import Import
from tapeout.data.instructions.import_report import Account, BrokenFile
from tapeout.data.instructions.reading import CHUNK, files_of, kind_of, opened

PIECE = 1 << 20
"""Bytes of lines that a process gets at once."""


@dataclass(frozen=True)
class Piece:
    """What is read at once.

    Attributes:
        name: of the file, in the source.
        start: place of its first byte; None for a file that is read as a whole.
        size: bytes.
        before: lines that stand before it.
    """

    name: str
    start: int | None = None
    size: int = 0
    before: int = 0


def pieces_of(folder: Path, options: Import, account: Account) -> Iterator[Piece]:
    """Yield the pieces of a source, in their order."""
    for path, _ in files_of(folder, options, account):
        name = path.relative_to(folder).as_posix()
        if kind_of(name) in ("jsonl", "ndjson") and not name.lower().endswith(".gz"):
            try:
                with opened(path, name) as stream:
                    yield from _cut(stream, name)
            except BrokenFile:
                yield Piece(name)  # who reads it finds the same, and in its turn
        else:
            yield Piece(name)


def _cut(stream: IO[bytes], name: str) -> Iterator[Piece]:
    before = 0
    while True:
        start = stream.tell()
        content = stream.read(PIECE)
        if not content:
            return
        count = content.count(b"\n")
        last = content[content.rfind(b"\n", 0, -1) + 1 :]
        while not last.endswith(b"\n") and (last := stream.readline(CHUNK)):
            count += last.endswith(b"\n")
        # blank lines are judged by what follows them, so that a piece ends with another one
        while last and not last.strip() and (last := stream.readline(CHUNK)):
            count += last.endswith(b"\n")
            while not last.endswith(b"\n") and (last := stream.readline(CHUNK)):
                count += last.endswith(b"\n")
        yield Piece(name, start, stream.tell() - start, before)
        before += count
