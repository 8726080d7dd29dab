"""From a folder of anything to raw documents, one after another: text files, JSON Lines, parquet, archives of these.

Nothing is held but one file of text, one line, or one batch of a parquet file. Arrow decompresses and reads parquet.
"""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow

from tapeout.config.corpus import Selection
from tapeout.data.corpus.documents import refuse
from tapeout.data.io.archive_streams import members, named, opened_as_archive
from tapeout.data.io.jsonl import MalformedRow
from tapeout.data.io.names import readable
from tapeout.data.io.parquet_texts import UnreadableFile, parquet_texts
from tapeout.data.io.text_row import text_row

CODECS = {".gz": "gzip", ".zst": "zstd"}
ROWS = (".jsonl", ".ndjson")
LONGEST_LINE = 2**28
"""Bytes. A longer line is no row of text but a file without line ends."""
LONG_LINE = 2**24
"""Bytes above which a line is parsed where it is read."""


@dataclass(frozen=True)
class Raw:
    """A document as it is found.

    Attributes:
        path: where, inside the source. Rows have no number: one row more must not change what all others are.
        content: bytes of a text file or of a line of JSON; text of a parquet row, None if there is none.
        line: number of a line of JSON, for messages; 0 for anything else.
        licence: what the row says of itself.
    """

    path: str
    content: bytes | str | None
    line: int = 0
    licence: str = ""


def raw_documents(folder: Path, selection: Selection, field: str, dropped: Counter[str]) -> Iterator[Raw]:
    """Every selected document of a source's folder, by sorted path.

    Args:
        folder: of the source; links are not followed out of it.
        selection: patterns over the paths of files, also of files in archives; and the largest text file.
        field: column of parquet files.
        dropped: is told of files that are left out.

    Raises:
        BrokenArchive, MalformedRow, UnreadableFile: nothing is skipped in silence (F28).
    """

    def wanted(path: str, size: int) -> bool:
        # the size of rows is judged row by row, that of compressed text when it is read
        judged = 0 if _kind(path) != "text" or _codec(path) else size
        reason = refuse(path, judged, selection)
        dropped[reason] += 1
        return not reason

    for file in sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
        name = file.relative_to(folder).as_posix()
        if _kind(name) == "text" and opened_as_archive(file, readable(name)):
            seen = dropped.total()
            with named(readable(name)):
                for member, stream in members(file, wanted):
                    yield from _documents(readable(member), stream, selection, field, dropped)
            dropped["archive without a file"] += dropped.total() == seen
        elif wanted(name, file.stat().st_size):
            with file.open("rb") as stream:
                yield from _documents(readable(name), stream, selection, field, dropped)
    del dropped[""]


def _codec(path: str) -> str:
    return CODECS.get(PurePosixPath(path).suffix.lower(), "")


def _kind(path: str) -> str:
    name = PurePosixPath(path.lower())
    suffix = name.with_suffix("").suffix if name.suffix in CODECS else name.suffix
    return "rows" if suffix in ROWS else "parquet" if suffix == ".parquet" else "text"


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(path, (str(error) or type(error).__name__).splitlines()[0].rstrip(".")) from error


def _documents(path: str, file: IO[bytes], selection: Selection, field: str, dropped: Counter[str]) -> Iterator[Raw]:
    with _named(path):
        stream = file
        if codec := _codec(path):
            stream = io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), codec), 2**20)
        if _kind(path) == "rows":
            yield from _rows(path, stream, selection, field, dropped)
        elif _kind(path) == "parquet":
            for text, licence in parquet_texts(path, stream, field, dropped):
                yield Raw(path, text, licence=licence)
        else:
            content = stream.read(selection.max_bytes + 1)
            if len(content) <= selection.max_bytes:
                yield Raw(path, content)
            else:
                dropped["too large"] += 1


def _rows(path: str, stream: IO[bytes], selection: Selection, field: str, dropped: Counter[str]) -> Iterator[Raw]:
    number, blank = 0, 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise MalformedRow(Path(path), number, f"the line is longer than {LONGEST_LINE} bytes")
        if not line.strip():
            blank = blank or number
            continue
        if blank:
            raise MalformedRow(Path(path), blank, "the line is empty")
        if len(line) <= LONG_LINE:
            yield Raw(path, line, line=number)
            continue
        # several of these on their way to other processes would fill the memory
        text, licence = text_row(path, number, line, field, Counter())
        if len(text) > selection.max_bytes:
            dropped["too large"] += 1
        else:
            yield Raw(path, text, licence=licence)
    dropped["file without a row"] += not number
