"""Training, validation and test rows: by group, by content, and without a leak (faults F39, F40, F41).

A row's side depends on its source and its group's name alone, so rows that are inserted, removed or put in another
order never move others across, except out of training when the new row is a test row of the same group.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tapeout.config.instructions import InstructionSplits
from tapeout.data.corpus.corpus import chosen
from tapeout.data.instructions.rtl_questions import digest_of
from tapeout.errors import TapeoutError

SIDES = ("test", "validation", "train")
"""In the order in which they claim a text that more than one of them has."""


class EmptySplit(TapeoutError):
    """A split has no row."""

    def __init__(self, side: str) -> None:
        super().__init__(
            f"The {side} split of the instructions is empty.",
            "Give more rows, change validation_share or seed in instructions.splits, or name other held-out cores.",
        )


class ConflictingRows(TapeoutError):
    """Two rows have the same input and different outputs."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"Two instruction rows have the same input and different outputs: {text[:120]!r}.",
            "Remove one of them from the raw instructions.",
        )


def split_rows(
    rows: Iterable[Mapping[str, Any]], held_out: Sequence[str], settings: InstructionSplits
) -> tuple[dict[str, list[Mapping[str, Any]]], Counter[str]]:
    """Rows by side, in the order of their digests, and the number of dropped rows by reason.

    Args:
        rows: formatted rows.
        held_out: the sources whose rows are test rows.
        settings: share and seed of the validation groups.

    Raises:
        ConflictingRows: the same input has two outputs.
        EmptySplit: a side has no row.
    """
    ordered = sorted(rows, key=lambda row: (row["digest"], row["source"], row["group"]))
    held_groups = {row["group"] for row in ordered if row["source"] in held_out}
    sides: dict[str, list[Mapping[str, Any]]] = {side: [] for side in SIDES}
    dropped: Counter[str] = Counter()
    for row in ordered:
        if row["source"] in held_out:
            sides["test"].append(row)
        elif row["group"] in held_groups:
            dropped["module of this name also in a held-out core"] += 1
        else:
            validates = chosen(digest_of(str(settings.seed), row["group"]), settings.validation_share)
            sides["validation" if validates else "train"].append(row)
    outputs: dict[str, str] = {}
    for side, members in sides.items():
        sides[side] = first_of_each(members, outputs, dropped)
        if not sides[side]:
            raise EmptySplit(side)
    return sides, dropped


def first_of_each(
    rows: list[Mapping[str, Any]], outputs: dict[str, str], dropped: Counter[str]
) -> list[Mapping[str, Any]]:
    """Rows whose input no earlier row or side has; ``outputs`` (output by input) and ``dropped`` grow.

    Raises:
        ConflictingRows: the same input has two outputs.
    """
    kept = []
    for row in rows:
        if row["input"] not in outputs:
            outputs[row["input"]] = row["output"]
            kept.append(row)
        elif outputs[row["input"]] == row["output"]:
            dropped["same input and output as another row"] += 1
        else:
            raise ConflictingRows(row["input"])
    return kept
