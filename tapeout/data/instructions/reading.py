"""Files of others, read strictly: JSON Lines, JSON and CSV, plain or compressed with gzip.

A row that cannot be read is named or counted; a file that cannot be read is always an error. Nothing is guessed: no
second encoding is tried, no key of two is chosen, no line is cut.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, cast

import orjson

from tapeout.config.imported import Import
from tapeout.data.instructions.import_report import Account, BadRow, BrokenFile
from tapeout.data.instructions.text import has_surrogates
from tapeout.data.io.names import readable

GZIP, UTF_8, UTF_16 = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
CHUNK = 1 << 20
LARGEST_JSON = 1 << 30
"""Bytes of a file that is one JSON text, which is read as a whole; a small packed file could be any size."""


@dataclass(frozen=True)
class Record:
    """One value with where it stands.

    Attributes:
        file: path in the source.
        place: line, record or item.
        value: whatever JSON can say.
    """

    file: str
    place: str
    value: Any

    def bad(self, reason: str, detail: str = "") -> BadRow:
        """The error that this record cannot be used."""
        return BadRow(self.file, self.place, reason, detail)


def read_records(folder: Path, options: Import, account: Account) -> Iterator[Record]:
    """Yield the records of all files of a source, in the order of their paths.

    Raises:
        BrokenFile: a file is of no known kind, cut off, or not what its name says.
        BadRow: a row cannot be read, and the configuration wants that to stop.
    """
    for path, name in files_of(folder, options, account):
        yield from read_file(path, name, options, account)


def files_of(folder: Path, options: Import, account: Account) -> Iterator[tuple[Path, str]]:
    """Yield the files of a source that the options name, with their paths in it."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = readable(path.relative_to(folder).as_posix())
        if fnmatchcase(name, options.files):
            account.read["files"] += 1
            yield path, name
        else:
            account.drop("file of another name")


def kind_of(name: str) -> str:
    """What the name of a file says that it is."""
    return name.lower().removesuffix(".gz").rpartition(".")[2]


def read_file(path: Path, name: str, options: Import, account: Account) -> Iterator[Record]:
    """Yield the records of a file; see ``read_records``."""
    kind = kind_of(name)
    if kind == "parquet":
        # imported here, because only a source with such a file needs it
        from tapeout.data.instructions.parquet import parquet_file

        yield from parquet_file(path, name, account)
    elif kind in READERS:
        with opened(path, name) as stream:
            yield from READERS[kind](stream, name, options, account)
    else:
        raise BrokenFile(
            name, f"files of the kind .{kind} are not read; name those that are by the option files of its source"
        )


@contextmanager
def opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The plain bytes of a file, behind a byte-order mark if it has one."""
    packed = name.lower().endswith(".gz")
    try:
        with cast(IO[bytes], gzip.open(path) if packed else path.open("rb")) as stream:
            start = stream.read(3)
            if not start:
                raise BrokenFile(name, "the file is empty")
            if start.startswith(GZIP) and not packed:
                raise BrokenFile(name, "it is compressed with gzip, and its name does not end in .gz")
            if start.startswith(UTF_16):
                raise BrokenFile(name, "it is UTF-16, and UTF-8 is needed")
            stream.seek(3 if start == UTF_8 else 0)
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenFile(name, f"its gzip data is damaged or cut off ({error})") from error


def json_lines(
    stream: IO[bytes], name: str, options: Import, account: Account, before: int = 0, end: int | None = None
) -> Iterator[Record]:
    """Yield the values of a JSON Lines file; blank lines at its very end are allowed.

    Args:
        stream: stands at the beginning of a line.
        name: of the file.
        options: of the source.
        account: grows.
        before: number of the line before.
        end: place in the stream behind the last line that is wanted; None for all.
    """
    blank: str | None = None
    number = before
    while (end is None or stream.tell() < end) and (line := stream.readline(options.longest_row + 1)):
        number += 1
        place = f"line {number}"
        long = len(line) > options.longest_row and not line.endswith(b"\n")
        if blank is not None and (long or line.strip()):
            account.bad(BadRow(name, blank, "the line is empty"))
            blank = None
        if long:
            while not line.endswith(b"\n") and (line := stream.readline(CHUNK)):
                pass
            account.bad(BadRow(name, place, "the row is longer than longest_row"))
            continue
        if not line.strip():
            blank = blank or place
            continue
        try:
            value = parse(line)
        except ValueError as error:
            account.bad(BadRow(name, place, *error.args))
            continue
        yield Record(name, place, value)


def json_file(stream: IO[bytes], name: str, options: Import, account: Account) -> Iterator[Record]:
    """Yield the items of a JSON file that is a list, or the one object that it is."""
    content = stream.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise BrokenFile(name, f"it is one JSON text of more than {LARGEST_JSON} bytes; JSON Lines may have any number")
    try:
        whole = parse(content)
    except ValueError as error:
        raise BrokenFile(name, f"{error.args[0]} ({', '.join(error.args[1:])})") from error
    if isinstance(whole, list):
        for number, value in enumerate(whole, start=1):
            yield Record(name, f"item {number}", value)
    else:
        yield Record(name, "the object", whole)


def csv_file(stream: IO[bytes], name: str, options: Import, account: Account) -> Iterator[Record]:
    """Yield the records of a CSV file by the names in its first one; records of blank fields are counted and left out.

    A field may hold line breaks, so that records are no lines.
    """
    csv.field_size_limit(options.longest_row)
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
    reader = csv.reader(text, strict=True)
    number = 0
    try:
        header = [column.strip() for column in next(reader, [])]
        if not any(header) or len(set(header)) < len(header):
            raise BrokenFile(name, f"its first record must name every column once, and is {header}")
        for number, fields in enumerate(reader, start=1):
            place = f"record {number}"
            if not any(field.strip() for field in fields):
                account.drop("blank record", f"{name}, {place}")
            elif len(fields) != len(header):
                account.bad(BadRow(name, place, "wrong number of fields", f"{len(fields)} instead of {len(header)}"))
            elif any(has_surrogates(field) for field in fields):
                account.bad(BadRow(name, place, "not UTF-8"))
            else:
                yield Record(name, place, dict(zip(header, fields, strict=True)))
    except csv.Error as error:
        raise BrokenFile(name, f"behind record {number} it is not CSV ({error})") from error
    finally:
        text.detach()


READERS = {"jsonl": json_lines, "ndjson": json_lines, "json": json_file, "csv": csv_file}


def parse(content: bytes) -> Any:
    """The value of a JSON text, in which no object has a key twice.

    Raises:
        ValueError: with the reason and its details.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8", f"byte {error.start + 1}") from error
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("lone surrogate" if "surrogate" in str(error) else "not JSON", str(error)) from error
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError("a key stands twice", next(name for name in names if names.count(name) > 1))
    return found
