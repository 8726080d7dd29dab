"""Raw documents of a source's folder: text files, JSON Lines, parquet, and archives of these, as a stream.

Memory is bounded by one text file, one line, or one batch of a parquet file. Arrow decompresses and reads parquet.
"""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow

from tapeout.config.corpus import Selection
from tapeout.data.corpus.documents import rejection
from tapeout.data.errors import BadRow, UnreadableFile
from tapeout.data.io.archives import archive_errors, is_archive, members
from tapeout.data.io.parquet import arrow_errors, parquet_texts
from tapeout.data.io.text import printable_name
from tapeout.data.io.text_rows import text_row

CODECS = {".gz": "gzip", ".zst": "zstd"}
ROW_SUFFIXES = (".jsonl", ".ndjson")
MAX_LINE_BYTES = 2**28
"""A longer line is not a row of text but a file without line ends."""
MAX_DEFERRED_LINE_BYTES = 2**24
"""Longer lines are parsed by the reading process, because several of them in transit would fill the memory."""


@dataclass(frozen=True)
class Raw:
    """A document before decoding.

    Attributes:
        path: path inside the source. Rows have no number: inserting one row must not change all others.
        content: bytes of a text file or of a line of JSON; text of a parquet row, None if it has none.
        line: number of a line of JSON, for error messages; 0 for anything else.
        licence: licence that the row states itself.
    """

    path: str
    content: bytes | str | None
    line: int = 0
    licence: str = ""


def raw_documents(folder: Path, selection: Selection, field: str, dropped: Counter[str]) -> Iterator[Raw]:
    """Yield every selected document of a source's folder, by sorted path.

    Args:
        folder: folder of the source; links are not followed.
        selection: patterns over the paths of files, also of files in archives; and the maximum size of a text file.
        field: column of parquet files.
        dropped: incremented by the reason for each file that is left out.

    Raises:
        UnreadableFile: a file is damaged.
        BadRow: a line is not a row with a text.
    """

    def is_selected(path: str, size: int) -> bool:
        # size limits apply to each row of a file with rows, and to compressed text when it is read
        limited = 0 if _kind(path) != "text" or _codec(path) else size
        reason = rejection(path, limited, selection)
        dropped[reason] += 1
        return not reason

    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        name = file.relative_to(folder).as_posix()
        if _kind(name) == "text" and _is_archive(file, printable_name(name)):
            seen = dropped.total()
            with archive_errors(printable_name(name)):
                for member, stream in members(file, is_selected):
                    yield from _documents(printable_name(member), stream, selection, field, dropped)
            dropped["archive without a file"] += dropped.total() == seen
        elif is_selected(name, file.stat().st_size):
            with file.open("rb") as stream:
                yield from _documents(printable_name(name), stream, selection, field, dropped)
    del dropped[""]


def _is_archive(path: Path, name: str) -> bool:
    if is_archive(path, name):
        return True
    if name.lower().endswith(".tar.zst"):
        raise UnreadableFile(name, "tar archives compressed with zstd are not supported; use gzip")
    return False


def _codec(path: str) -> str:
    return CODECS.get(PurePosixPath(path).suffix.lower(), "")


def _kind(path: str) -> str:
    name = PurePosixPath(path.lower())
    suffix = name.with_suffix("").suffix if name.suffix in CODECS else name.suffix
    return "rows" if suffix in ROW_SUFFIXES else "parquet" if suffix == ".parquet" else "text"


def _documents(path: str, file: IO[bytes], selection: Selection, field: str, dropped: Counter[str]) -> Iterator[Raw]:
    with arrow_errors(path):
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
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES:
            raise BadRow.of_line(Path(path), number, f"the line is longer than {MAX_LINE_BYTES} bytes")
        if not line.strip():
            blank = blank or number
            continue
        if blank:
            raise BadRow.of_line(Path(path), blank, "the line is empty")
        if len(line) <= MAX_DEFERRED_LINE_BYTES:
            yield Raw(path, line, line=number)
            continue
        text, licence = text_row(path, number, line, field, Counter())
        if len(text) > selection.max_bytes:
            dropped["too large"] += 1
        else:
            yield Raw(path, text, licence=licence)
    dropped["file without a row"] += not number
