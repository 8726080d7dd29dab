"""Imported rows as token ids, as the rule ``encoded`` writes them, for the training."""

from pathlib import Path

from tapeout.data.io.jsonl import MalformedRow, read_jsonl


def read_encoded(path: Path, seq_length: int) -> list[tuple[list[int], list[int]]]:
    """Ids and loss mask of every row.

    Raises:
        MalformedRow: a row has no ids with a mask of the same length and a loss in it, or is longer than
            ``seq_length`` tokens and the one that is only a label.
    """
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        ids, mask = row.get("ids"), row.get("mask")
        if not (isinstance(ids, list) and isinstance(mask, list) and len(ids) == len(mask) and any(mask[1:])):
            raise MalformedRow(path, number, "ids and mask do not fit each other, or nothing has a loss")
        if len(ids) > seq_length + 1:
            raise MalformedRow(path, number, f"{len(ids)} tokens do not fit into {seq_length}")
        rows.append((ids, mask))
    return rows
