"""Texts of parquet files, batch by batch; apart from other readers, because only some steps have Arrow."""

import io
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow
import pyarrow.parquet

from tapeout.data.io.text_row import LICENCE, licence_of
from tapeout.errors import TapeoutError

ROWS = 256


class UnreadableFile(TapeoutError):
    """A compressed or a parquet file is damaged, or has other columns."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}.", "Correct the source; nothing was skipped.")


def file_texts(path: Path, name: str, field: str) -> Iterator[str | None]:
    """Texts of the column ``field``, None where a row has none.

    Raises:
        UnreadableFile: it is no parquet file, or has no such column of text.
    """
    try:
        with path.open("rb") as stream:
            for text, _ in parquet_texts(name, stream, field, Counter()):
                yield text
    except (pyarrow.ArrowException, OSError) as error:
        raise UnreadableFile(name, str(error).splitlines()[0].rstrip(".")) from error


def parquet_texts(name: str, stream: IO[bytes], field: str, dropped: Counter[str]) -> Iterator[tuple[str | None, str]]:
    """Text and licence of each row, as far as it has them; errors of Arrow are the caller's to name.

    Raises:
        UnreadableFile: there is no such column of text, a column stands twice, or a row's licence is unclear.
    """
    with tempfile.TemporaryFile() as whole:
        source: IO[bytes] = stream
        if not isinstance(stream, io.BufferedReader) or not stream.seekable():
            # what is packed cannot be sought in, or only by reading it again
            shutil.copyfileobj(stream, whole)
            source = whole
        table = pyarrow.parquet.ParquetFile(source)
        kinds = {column.name: column.type for column in table.schema_arrow}
        if field not in kinds or not _is_text(kinds[field]):
            raise UnreadableFile(name, f"there is no column {field!r} of text")
        wanted = [field, *(each for each in LICENCE if each in kinds)]
        if any(table.schema_arrow.names.count(each) > 1 for each in wanted):
            raise UnreadableFile(name, f"a column stands twice: {table.schema_arrow.names}")
        number = 0
        for batch in table.iter_batches(batch_size=ROWS, columns=wanted):
            try:
                columns = [batch.column(each).to_pylist() for each in wanted]
            except UnicodeDecodeError as error:
                raise UnreadableFile(name, f"behind row {number} a text is not UTF-8") from error
            for text, *licences in zip(*columns, strict=True):
                number += 1
                try:
                    yield text, licence_of(licences)
                except ValueError as error:
                    raise UnreadableFile(name, f"row {number}: {error}") from error
        dropped["file without a row"] += not number


def _is_text(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
