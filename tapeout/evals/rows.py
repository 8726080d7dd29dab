"""Rows of test sets: reading them, and choosing the same sample for every model."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import read_jsonl


def read_rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read the rows of a test set; a row that repeats the digest of an earlier one is left out.

    Raises:
        BadRow: a line is not JSON or lacks a field.
        NotEnoughData: there is no row.
    """
    distinct: dict[str, dict[str, Any]] = {}
    for row in read_jsonl(path, (*fields, "digest")):
        distinct.setdefault(row["digest"], row)
    if not distinct:
        raise NotEnoughData(
            f"{path.name} has no rows.", "Give the data set more sources or its test split a larger fraction."
        )
    return list(distinct.values())


def in_sample_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in the order of a hash of their digests.

    The order depends on nothing but the digests, so that new rows do not move the others; the second hash makes it
    independent of a split that was itself made by digest.
    """
    return sorted(rows, key=lambda row: sha256(b"evaluation\n" + row["digest"].encode()).hexdigest())
