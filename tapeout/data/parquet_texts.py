"""Texts of parquet files, batch by batch; apart from other readers, because only some steps have Arrow."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow
import pyarrow.parquet

from tapeout.errors import TapeoutError

LICENCE = ("licence", "license")
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
            for text, _ in parquet_texts(name, stream, field):
                yield text
    except (pyarrow.ArrowException, OSError) as error:
        raise UnreadableFile(name, str(error).splitlines()[0].rstrip(".")) from error


def parquet_texts(name: str, stream: IO[bytes], field: str) -> Iterator[tuple[str | None, str]]:
    """Text and licence of each row, as far as it has them; errors of Arrow are the caller's to name."""
    # a compressed parquet file cannot be sought in, and is small
    source = stream if stream.seekable() else io.BytesIO(stream.read())
    table = pyarrow.parquet.ParquetFile(source)
    columns = {column.name: column.type for column in table.schema_arrow}
    if field not in columns or not _is_text(columns[field]):
        raise UnreadableFile(name, f"there is no column {field!r} of text")
    licence = next((each for each in LICENCE if each in columns and _is_text(columns[each])), "")
    wanted = [field, licence] if licence else [field]
    for batch in table.iter_batches(batch_size=ROWS, columns=wanted):
        texts = batch.column(field).to_pylist()
        licences = batch.column(licence).to_pylist() if licence else [""] * len(texts)
        for text, own in zip(texts, licences, strict=True):
            yield text, own or ""


def _is_text(kind: pyarrow.DataType) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
