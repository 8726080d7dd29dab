"""Parquet files of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tapeout.data.instructions.import_report import Account, BadRow, BrokenFile
from tapeout.data.instructions.reading import Record

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
            # times are of no use to any format, and Python has no form for many of them
            wanted = [column.name for column in file.schema_arrow if not pyarrow.types.is_temporal(column.type)]
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                for row in range(batch.num_rows):
                    number += 1
                    value = _value(batch.slice(row, 1))
                    if isinstance(value, str):
                        account.bad(BadRow(name, f"row {number}", value))
                    else:
                        yield Record(name, f"row {number}", value)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        words = str(error).partition("\n")[0].rstrip(".")
        raise BrokenFile(name, f"behind row {number} it is not parquet ({words})") from error


def _value(row: pyarrow.RecordBatch) -> dict[str, Any] | str:
    """The one row of a batch; why not, if a value of it is none for Python, which parquet does not check."""
    try:
        return dict(row.to_pylist()[0])
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, OverflowError):
        return "a time that cannot be read"
