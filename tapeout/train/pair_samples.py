"""Samples of preference training: both answers of a pair in one sequence, so that one rank has both."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapeout.config.training import Training
from tapeout.data.encode.packing import EndlessOrder
from tapeout.data.encode.preference_pairs import ANSWERS, EncodedPair
from tapeout.train.row_samples import PackedRows, Rows, write_rows
from tapeout.train.samples import Sample, SetUse, Span

PAIR, REJECTED = "pair", "rejected_start"
"""Values of a sample: index of the pair, and the position at which the row with the rejected answer begins."""


def write_pairs(pairs: Iterable[EncodedPair], folder: Path) -> int:
    """Write the rows of pairs to a folder, the chosen one of each before the rejected one; return their number."""
    locations: list[str] = []

    def rows() -> Iterator[tuple[list[int], list[int]]]:
        for pair in pairs:
            locations.append(pair.location)
            yield from (pair.chosen, pair.rejected)

    write_rows(rows(), folder / "rows")
    (folder / "locations.json").write_text(json.dumps(locations))
    return len(locations)


class Pairs(PackedRows):
    """Pairs in a seeded order, epoch after epoch, each in a sequence of its own."""

    def __init__(self, folder: Path, job: Training) -> None:
        """Open what ``write_pairs`` wrote."""
        super().__init__(Rows([folder / "rows"], [folder.name]), job.seq_length)
        self.locations: list[str] = json.loads((folder / "locations.json").read_bytes())
        self.count = job.max_steps * job.global_batch_size
        self.order = EndlessOrder(job.seed, len(self.locations))

    def __len__(self) -> int:
        """Return the number of sequences of all steps."""
        return self.count

    @property
    def first_epoch(self) -> range:
        """Indices of the sequences that have every pair that occurs, once."""
        return range(min(self.count, len(self.locations)))

    def members(self, index: int) -> list[int]:
        """Return the two rows of a sequence."""
        pair = self.order[index]
        return [2 * pair, 2 * pair + 1]

    def __getitem__(self, index: int) -> Sample:
        """Return a sequence with its pair."""
        chosen, _ = self.members(index)
        values = {PAIR: chosen // 2, REJECTED: int(self.rows.lengths[chosen])}
        return replace(super().__getitem__(index), values=values)

    def sources(self, index: int) -> list[Span]:
        """Return the pair with the role of each of its answers, and their positions."""
        location = self.locations[self.order[index]]
        spans = super().sources(index)
        return [replace(span, name=f"{location}, {role}") for span, role in zip(spans, ANSWERS, strict=True)]

    def uses(self) -> list[SetUse]:
        """Return the pairs as one set."""
        tokens, trained = len(self.rows.ids[0]), int(self.rows.masks[0].sum())
        return [SetUse("pairs", tokens, trained, self.count / len(self.locations))]

    def targets(self) -> Iterator[NDArray[np.integer]]:
        """Yield the labels of every pair that occurs."""
        for index in self.first_epoch:
            yield self[index].labels
