"""Raw documents of a source's folder: text files, JSON Lines, parquet, and archives of these, as a stream.

Memory is bounded by one text file, one line, or one batch of a parquet file. Arrow reads parquet and zstd; only the
environment ``corpus`` has it.
"""

import gzip
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tapeout.config.corpus import Selection
from tapeout.data.errors import BadRow, UnreadableFile
from tapeout.data.io.archives import SUFFIXES, archive_errors, is_archive, members
from tapeout.data.io.bounded import bounded
from tapeout.data.io.text import printable_name
from tapeout.data.io.text_rows import text_row

COMPRESSED = (".gz", ".zst")
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
        row: number of a row in its file; 0 for a text file.
        licence: licence that the row states itself.
    """

    path: str
    content: bytes | str | None
    line: int = 0
    licence: str = ""
    row: int = 0


def raw_documents(
    folder: Path, selection: Selection, field: str, dropped: Counter[str], all_rows: bool = False
) -> Iterator[Raw]:
    """Yield every selected document of a source's folder, by sorted path.

    Args:
        folder: folder of the source; links are not followed.
        selection: patterns over the paths of files, also of files in archives; nothing is read of an archive whose
            own path is excluded; and the maximum size of a text file.
        field: column of parquet files.
        dropped: incremented by the reason for each file that is left out.
        all_rows: read JSON Lines outside archives even if no pattern includes them, unless one excludes them.

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

    def is_skipped(path: str, reason: str) -> None:
        dropped[rejection(path, 0, selection) or reason] += 1

    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        name = file.relative_to(folder).as_posix()
        if _kind(name) == "text" and _is_excluded(name, selection):
            dropped["excluded" if name.lower().endswith(SUFFIXES) else rejection(name, 0, selection)] += 1
        elif _kind(name) == "text" and _is_archive(file, printable_name(name)):
            seen = dropped.total()
            with archive_errors(printable_name(name)):
                for member, stream in members(file, is_selected, is_skipped):
                    yield from _documents(printable_name(member), stream, selection, field, dropped)
            dropped["archive without a file"] += dropped.total() == seen
        elif (all_rows and _kind(name) == "rows" and not _is_excluded(name, selection)) or is_selected(
            name, file.stat().st_size
        ):
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
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if suffix in COMPRESSED else ""


def _kind(path: str) -> str:
    name = PurePosixPath(path.lower())
    suffix = name.with_suffix("").suffix if name.suffix in COMPRESSED else name.suffix
    return "rows" if suffix in ROW_SUFFIXES else "parquet" if suffix == ".parquet" else "text"


def _documents(path: str, file: IO[bytes], selection: Selection, field: str, dropped: Counter[str]) -> Iterator[Raw]:
    with _errors(path):
        stream = _decompressed(file, _codec(path))
        if _kind(path) == "rows":
            yield from _rows(path, stream, selection, field, dropped)
        elif _kind(path) == "parquet":
            from tapeout.data.io.parquet import parquet_texts

            for number, (text, licence) in enumerate(parquet_texts(path, stream, field, dropped), start=1):
                yield Raw(path, text, licence=licence, row=number)
        else:
            content = stream.read(selection.max_bytes + 1)
            if len(content) <= selection.max_bytes:
                yield Raw(path, content)
            else:
                dropped["too large"] += 1


def _errors(path: str) -> AbstractContextManager[None]:
    """Return a context that turns exceptions of the libraries that read a file into ``UnreadableFile``."""
    if _codec(path) != ".zst" and _kind(path) != "parquet":
        return archive_errors(path)
    try:
        from tapeout.data.io.parquet import arrow_errors
    except ModuleNotFoundError as error:
        reason = "parquet and zstd are read only if a pattern of the corpus ends in .parquet or .zst"
        raise UnreadableFile(path, reason, "Add that pattern to include, or exclude the file.") from error
    return arrow_errors(path)


def _decompressed(file: IO[bytes], codec: str) -> IO[bytes]:
    if codec == ".gz":
        return bounded(cast(IO[bytes], gzip.GzipFile(fileobj=file)), file.tell)
    if codec == ".zst":
        import pyarrow

        plain = io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), "zstd"), 2**20)
        return bounded(plain, file.tell)
    return file


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
            yield Raw(path, line, line=number, row=number)
            continue
        text, licence = text_row(path, number, line, field, Counter())
        if len(text) > selection.max_bytes:
            dropped["too large"] += 1
        else:
            yield Raw(path, text, licence=licence, row=number)
    dropped["file without a row"] += not number


def _is_excluded(path: str, selection: Selection) -> bool:
    return any(fnmatchcase(f"/{path}", pattern) for pattern in selection.exclude)


def rejection(path: str, size: int, selection: Selection) -> str:
    """Return why a file is left out, or an empty string; patterns match the path with a leading ``/``."""
    if not any(fnmatchcase(f"/{path}", pattern) for pattern in selection.include):
        return "other kind"
    if _is_excluded(path, selection):
        return "excluded"
    return "too large" if size > selection.max_bytes else ""
