"""Strict reading of record files: JSON Lines, JSON and CSV, plain or compressed with gzip, and parquet.

A row that cannot be read is an error or is dropped and counted; a file that cannot be read is always an error. Nothing
is guessed: no second encoding is tried, a repeated key is an error, and no line is truncated.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

import orjson

from tapeout.config.instructions import RecordFiles
from tapeout.data.errors import BadRow, UnreadableFile
from tapeout.data.instructions.record import Record
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import has_surrogates
from tapeout.data.io.bounded import UnpacksTooLarge, open_gzip
from tapeout.data.io.text import printable_name

GZIP, UTF_8, UTF_16 = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
CHUNK = 1 << 20
MAX_JSON_BYTES = 1 << 30
"""Maximum size of a file that is one JSON text, which is read as a whole; a small compressed file could be any size."""
PARQUET_BATCH = 1024


class Time:
    """A time in a parquet file, whatever it is: no format uses times, and Python cannot represent many of them."""


TIME = Time()
SPACED_QUOTE = re.compile(' +"')
"""Beginning of a field of a CSV file that was perhaps to be quoted: in CSV a quote must follow the comma."""


@dataclass(frozen=True)
class SourceFile:
    """A file of a source, with the options and the report of its set.

    Attributes:
        source: name of the source.
        name: path in the source, for messages.
        path: the file.
        options: options of the set.
        report: counts of the set, which are updated.
    """

    source: str
    name: str
    path: Path
    options: RecordFiles
    report: ImportReport

    def record(self, location: str, value: Any) -> Record:
        """Return a record at a location in the file."""
        return Record(self.source, f"{self.name}, {location}", value)

    def reject(self, location: str, reason: str, detail: str = "") -> None:
        """Count a row that cannot be read, or raise ``BadRow``."""
        self.report.reject(BadRow(f"{self.name}, {location}", reason, detail))

    def broken(self, reason: str) -> UnreadableFile:
        """Return the error that the whole file cannot be read."""
        return UnreadableFile(self.name, reason)


def read_records(folders: Mapping[str, Path], options: RecordFiles, report: ImportReport) -> Iterator[Record]:
    """Yield the records of all files of a set, source by source, in the order of their paths.

    Args:
        folders: folder of each source, by its name.
        options: options of the set.
        report: counts, which are updated.

    Raises:
        UnreadableFile: a file is of no known kind, truncated, or does not match its suffix.
        BadRow: a row cannot be read, and the options say stop.
    """
    for source, folder in folders.items():
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = printable_name(path.relative_to(folder).as_posix())
            if not fnmatchcase(name, options.files):
                report.drop("file of another name")
                continue
            report.read["files"] += 1
            label = name if len(folders) == 1 else f"{source}/{name}"
            has_rows, before = False, report.dropped.total()
            for record in read_file(SourceFile(source, label, path, options, report)):
                has_rows = True
                yield record
            if not has_rows and report.dropped.total() == before:
                report.drop("file without a row", label)


def read_file(file: SourceFile) -> Iterator[Record]:
    """Yield the records of one file; see ``read_records``."""
    kind = file.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        yield from parquet_rows(file)
    elif kind in READERS:
        with opened(file) as stream:
            yield from READERS[kind](stream, file)
    else:
        raise file.broken(f"its type .{kind} is unknown; select other files with the option files of the set")


@contextmanager
def opened(file: SourceFile) -> Iterator[IO[bytes]]:
    """Open a file, decompressed, after its byte-order mark if it has one."""
    compressed = file.name.lower().endswith(".gz")
    try:
        with open_gzip(file.path) if compressed else file.path.open("rb") as stream:
            start = stream.read(3)
            if not start:
                raise file.broken("the file is empty")
            if start.startswith(GZIP) and not compressed:
                raise file.broken("it is compressed with gzip, and its name does not end in .gz")
            if start.startswith(UTF_16):
                raise file.broken("it is UTF-16, but must be UTF-8")
            stream.seek(3 if start == UTF_8 else 0)
            yield stream
    except UnpacksTooLarge as error:
        raise file.broken(str(error)) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise file.broken(f"its gzip data is damaged or truncated ({error})") from error


def json_lines(stream: IO[bytes], file: SourceFile) -> Iterator[Record]:
    """Yield the values of a JSON Lines file; blank lines at its very end are allowed."""
    limit = file.options.max_row_bytes
    blank: str | None = None
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        location = f"line {number}"
        too_long = len(line) > limit and not line.endswith(b"\n")
        if blank is not None and (too_long or line.strip()):
            file.reject(blank, "the line is empty")
            blank = None
        if too_long:
            while not line.endswith(b"\n") and (line := stream.readline(CHUNK)):
                pass
            file.reject(location, "the row is longer than max_row_bytes")
            continue
        if not line.strip():
            blank = blank or location
            continue
        try:
            value = parse(line)
        except ValueError as error:
            file.reject(location, *error.args)
            continue
        yield file.record(location, value)


def json_file(stream: IO[bytes], file: SourceFile) -> Iterator[Record]:
    """Yield the items of a JSON file that is a list, or the one object that it is."""
    content = stream.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise file.broken(f"it is one JSON text of more than {MAX_JSON_BYTES} bytes; JSON Lines has no such limit")
    try:
        document = parse(content)
    except ValueError as error:
        raise file.broken(f"{error.args[0]} ({', '.join(error.args[1:])})") from error
    if isinstance(document, list):
        for number, value in enumerate(document, start=1):
            yield file.record(f"item {number}", value)
    else:
        yield file.record("the object", document)


def csv_file(stream: IO[bytes], file: SourceFile) -> Iterator[Record]:
    """Yield the records of a CSV file by the names in its first record; blank records are dropped and counted.

    A field may contain line breaks, so records are not lines.
    """
    csv.field_size_limit(file.options.max_row_bytes)
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
    lines: list[str] = []
    reader = csv.reader(_remembered(text, lines), strict=True)
    number = 0
    try:
        header = [column.strip() for column in next(reader, [])]
        lines.clear()
        if not any(header) or len(set(header)) < len(header):
            raise file.broken(f"its first record must name every column once, but is {header}")
        for number, fields in enumerate(reader, start=1):
            location = f"record {number}"
            if not any(field.strip() for field in fields):
                file.report.drop("blank record", f"{file.name}, {location}")
            elif len(fields) != len(header):
                file.reject(location, "wrong number of fields", f"{len(fields)} instead of {len(header)}")
            elif [field.lstrip("\ufeff").strip() for field in fields] == header:
                file.reject(location, "the names of the columns are repeated")
            elif any(has_surrogates(field) for field in fields):
                file.reject(location, "not UTF-8")
            elif any(map(SPACED_QUOTE.match, fields)) and _has_spaced_quotes(lines, fields):
                file.reject(location, "a blank between the comma and the quote, which then quotes nothing")
            else:
                yield file.record(location, dict(zip(header, fields, strict=True)))
            lines.clear()
    except csv.Error as error:
        raise file.broken(f"after record {number} it is not CSV ({error})") from error
    finally:
        text.detach()


def _remembered(text: Iterable[str], lines: list[str]) -> Iterator[str]:
    """Yield the lines of a text, and append them to ``lines``."""
    for line in text:
        lines.append(line)
        yield line


def _has_spaced_quotes(lines: list[str], fields: list[str]) -> bool:
    """Return whether the lines of a record have other fields if blanks after a comma are no part of them."""
    skipped = next(csv.reader(lines, skipinitialspace=True))
    return [field.lstrip() for field in fields] != [field.lstrip() for field in skipped]


READERS: dict[str, Callable[[IO[bytes], SourceFile], Iterator[Record]]]
READERS = {"jsonl": json_lines, "ndjson": json_lines, "json": json_file, "csv": csv_file}


def parquet_rows(file: SourceFile) -> Iterator[Record]:
    """Yield the rows of a parquet file, columns by name."""
    try:  # not in every environment, and only a source with such a file needs it
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise file.broken("pyarrow, which reads parquet, is not installed where this step runs; write JSONL") from None

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(file.path, page_checksum_verification=True) as table:
            for names in _names_by_level(table.schema_arrow):
                if len(set(names)) < len(names):
                    raise file.broken(f"two of its columns have the same name: {names}")
            times = [column.name for column in table.schema_arrow if pyarrow.types.is_temporal(column.type)]
            for batch in table.iter_batches(batch_size=PARQUET_BATCH):
                without_times = batch.drop_columns(times)
                filled = {name: batch.column(name).is_valid() for name in times}
                for row in range(batch.num_rows):
                    number += 1
                    try:
                        value = without_times.slice(row, 1).to_pylist()[0] if without_times.num_columns else {}
                        value |= {name: TIME if is_filled[row].as_py() else None for name, is_filled in filled.items()}
                    except UnicodeDecodeError:
                        file.reject(f"row {number}", "not UTF-8")
                    except (ValueError, OverflowError):
                        file.reject(f"row {number}", "a time that cannot be read")
                    else:
                        yield file.record(f"row {number}", value)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        first_line = str(error).partition("\n")[0].rstrip(".")
        raise file.broken(f"after row {number} it is not parquet ({first_line})") from error


def _names_by_level(fields: Iterable[Any]) -> Iterator[list[str]]:
    """Yield the names of the columns of a parquet file, and of the fields of each struct in them."""
    fields = list(fields)
    yield [field.name for field in fields]
    for field in fields:
        inside = [field.type.field(index) for index in range(field.type.num_fields)]
        if inside:
            yield from _names_by_level(inside)


def parse(content: bytes) -> Any:
    """Return the value of a JSON text in which no object repeats a key.

    Raises:
        ValueError: with the reason and a detail.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8", f"byte {error.start + 1}") from error
    try:
        orjson.loads(text)  # stricter than the standard library: no NaN, no control characters, no lone surrogates
    except orjson.JSONDecodeError as error:
        raise ValueError("lone surrogate" if "surrogate" in str(error) else "not JSON", str(error)) from error
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError("a key is repeated", next(name for name in names if names.count(name) > 1))
    return mapping
