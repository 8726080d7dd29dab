"""From a folder of anything to raw documents, one after another: text files, JSON Lines, parquet, archives of these.

Nothing is held but one file of text, one line, or one batch of a parquet file. Arrow decompresses and reads parquet.
"""

import io
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow
import pyarrow.parquet

from tapeout.config.corpus import Selection
from tapeout.data.documents import refuse
from tapeout.data.jsonl import MalformedRow
from tapeout.data.members import members, named, opened_as_archive
from tapeout.data.names import readable
from tapeout.data.text_row import LICENCE, licence_of, text_row
from tapeout.errors import TapeoutError

CODECS = {".gz": "gzip", ".zst": "zstd"}
ROWS = (".jsonl", ".ndjson")
LONGEST_LINE = 2**28
"""Bytes. A longer line is no row of text but a file without line ends."""
LONG_LINE = 2**24
"""Bytes above which a line is parsed where it is read."""
PARQUET_ROWS = 256


class UnreadableFile(TapeoutError):
    """A compressed or a parquet file is damaged, or has other columns."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}.", "Correct the source; nothing was skipped.")


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
            yield from _parquet(path, stream, field, dropped)
        else:
            content = stream.read(selection.maximum_bytes + 1)
            if len(content) <= selection.maximum_bytes:
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
        if len(text) > selection.maximum_bytes:
            dropped["too large"] += 1
        else:
            yield Raw(path, text, licence=licence)
    dropped["file without a row"] += not number


def _parquet(path: str, stream: IO[bytes], field: str, dropped: Counter[str]) -> Iterator[Raw]:
    with tempfile.TemporaryFile() as whole:
        source: IO[bytes] = stream
        if not isinstance(stream, io.BufferedReader) or not stream.seekable():
            # what is packed cannot be sought in, or only by reading it again
            shutil.copyfileobj(stream, whole)
            source = whole
        table = pyarrow.parquet.ParquetFile(source)
        kinds = {column.name: column.type for column in table.schema_arrow}
        if field not in kinds or not _is_text(kinds[field]):
            raise UnreadableFile(path, f"there is no column {field!r} of text")
        wanted = [field, *(name for name in LICENCE if name in kinds)]
        if any(table.schema_arrow.names.count(name) > 1 for name in wanted):
            raise UnreadableFile(path, f"a column stands twice: {table.schema_arrow.names}")
        number = 0
        for batch in table.iter_batches(batch_size=PARQUET_ROWS, columns=wanted):
            try:
                columns = [batch.column(name).to_pylist() for name in wanted]
            except UnicodeDecodeError as error:
                raise UnreadableFile(path, f"behind row {number} a text is not UTF-8") from error
            for text, *licences in zip(*columns, strict=True):
                number += 1
                try:
                    yield Raw(path, text, licence=licence_of(licences))
                except ValueError as error:
                    raise UnreadableFile(path, f"row {number}: {error}") from error
        dropped["file without a row"] += not number


def _is_text(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
