"""Parquet files of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tapeout.data.imported.account import Account, BadRow, BrokenFile
from tapeout.data.imported.reading import Record

BATCH = 1024


def parquet_file(path: Path, name: str, account: Account) -> Iterator[Record]:
    """Yield the rows of a parquet file, columns by name.

    Raises:
        BrokenFile: it is no parquet file, is cut off, or has two columns of one name.
        BadRow: a text is not UTF-8, and the configuration wants that to stop.
    """
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if len(set(columns)) < len(columns):
                raise BrokenFile(name, f"two of its columns have one name: {columns}")
            for batch in file.iter_batches(batch_size=BATCH):
                for row in range(batch.num_rows):
                    number += 1
                    value = _value(batch.slice(row, 1))
                    if value is None:
                        account.bad(BadRow(name, f"row {number}", "not UTF-8"))
                    else:
                        yield Record(name, f"row {number}", value)
    except (pyarrow.ArrowException, OSError) as error:
        words = str(error).partition("\n")[0].rstrip(".")
        raise BrokenFile(name, f"behind row {number} it is not parquet ({words})") from error


def _value(row: pyarrow.RecordBatch) -> dict[str, Any] | None:
    """The one row of a batch; None if a text of it is not UTF-8, which parquet does not check."""
    try:
        return dict(row.to_pylist()[0])
    except UnicodeDecodeError:
        return None
