"""Texts of parquet files, batch by batch; a separate module, because only some environments have Arrow."""

import io
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pyarrow
import pyarrow.parquet

from tapeout.data.errors import UnreadableFile
from tapeout.data.io.text_rows import LICENCE_FIELDS, joined_licence

ROWS = 256
"""Rows of a batch."""


@contextmanager
def arrow_errors(name: str) -> Iterator[None]:
    """Turn the exceptions of Arrow, and of reading in general, into ``UnreadableFile``."""
    try:
        yield
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(name, (str(error) or type(error).__name__).splitlines()[0].rstrip(".")) from error


def parquet_texts(name: str, stream: IO[bytes], field: str, dropped: Counter[str]) -> Iterator[tuple[str | None, str]]:
    """Yield text (None if absent) and licence (empty if absent) of each row; wrap it in ``arrow_errors``.

    Raises:
        UnreadableFile: there is no such column of text, a column occurs twice, or the licence of a row is ambiguous.
    """
    with tempfile.TemporaryFile() as copy:
        source: IO[bytes] = stream
        if not isinstance(stream, io.BufferedReader) or not stream.seekable():
            # seeking in compressed data would decompress it again from its start
            shutil.copyfileobj(stream, copy)
            source = copy
        table = pyarrow.parquet.ParquetFile(source, page_checksum_verification=True)
        types = {column.name: column.type for column in table.schema_arrow}
        if field not in types or not _is_text(types[field]):
            raise UnreadableFile(name, f"there is no column {field!r} of text")
        wanted = [field, *(column for column in types if column.casefold() in LICENCE_FIELDS and column != field)]
        if any(table.schema_arrow.names.count(column) > 1 for column in wanted):
            raise UnreadableFile(name, f"a column occurs twice: {table.schema_arrow.names}")
        number = 0
        for batch in table.iter_batches(batch_size=ROWS, columns=wanted):
            try:
                columns = [batch.column(column).to_pylist() for column in wanted]
            except UnicodeDecodeError as error:
                raise UnreadableFile(name, f"a text after row {number} is not UTF-8") from error
            except (ValueError, OverflowError) as error:  # a time that Python cannot represent
                raise UnreadableFile(name, f"a licence after row {number} is no text") from error
            for text, *licences in zip(*columns, strict=True):
                number += 1
                try:
                    yield text, joined_licence(licences)
                except ValueError as error:
                    raise UnreadableFile(name, f"row {number}: {error}") from error
        dropped["file without a row"] += not number


def _is_text(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view)
    return any(is_of(kind) for is_of in is_text)
