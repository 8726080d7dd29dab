"""Reader of ``encoded/<set>`` for training.

Separate from the encoder, so that an edit of the encoder does not retrain a model.
"""

from collections.abc import Iterator
from pathlib import Path

from tapeout.data.errors import BadRow
from tapeout.data.io.jsonl import read_jsonl


def read_encoded(path: Path, seq_length: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield ids and loss mask of every row.

    Raises:
        BadRow: a row does not have ids and a mask of the same length with a loss in it, or is too long.
    """
    for number, row in enumerate(read_jsonl(path), start=1):
        ids, mask = row.get("ids"), row.get("mask")
        if not (isinstance(ids, list) and isinstance(mask, list) and len(ids) == len(mask) and any(mask[1:])):
            raise BadRow.of_line(path, number, "ids and mask differ in length, or no token has a loss")
        if len(ids) > seq_length + 1:
            raise BadRow.of_line(path, number, f"{len(ids)} tokens do not fit into {seq_length}")
        yield ids, mask


def read_categories(path: Path) -> list[str]:
    """Return the category of every row.

    Raises:
        BadRow: a row has none.
    """
    categories = []
    for number, row in enumerate(read_jsonl(path), start=1):
        if not isinstance(row.get("category"), str):
            raise BadRow.of_line(path, number, "the row has no category")
        categories.append(row["category"])
    return categories
