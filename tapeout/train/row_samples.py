"""Samples of instruction tuning: rows of token ids, several packed into one sequence."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapeout.config.training import Training
from tapeout.data.encode.encoded_rows import read_categories
from tapeout.data.encode.packing import Bins, pack, permutation
from tapeout.data.errors import NotEnoughData
from tapeout.data.shards.token_files import IndexedWriter, read_ids, read_lengths
from tapeout.train.samples import Sample, Samples, SetUse, Span

STORED = np.dtype("<i4")
"""Type of the stored ids of rows."""
STORED_MASK = np.dtype("u1")


def write_rows(rows: Iterable[tuple[list[int], list[int]]], prefix: Path) -> None:
    """Write the token ids of rows to ``<prefix>.ids.*``, and their loss masks to ``<prefix>.mask.*``."""
    with (
        IndexedWriter(prefix.with_name(f"{prefix.name}.ids"), STORED) as ids_file,
        IndexedWriter(prefix.with_name(f"{prefix.name}.mask"), STORED_MASK) as mask_file,
    ):
        for ids, mask in rows:
            ids_file.write(np.array(ids, dtype=STORED).tobytes(), [len(ids)])
            mask_file.write(np.array(mask, dtype=STORED_MASK).tobytes(), [len(mask)])


class Rows:
    """Rows of several files, numbered through; ids and masks are read from disk, 12 bytes per row are in memory."""

    def __init__(self, prefixes: Sequence[Path], names: Sequence[str]) -> None:
        """Open what ``write_rows`` wrote.

        Args:
            prefixes: the files.
            names: name of the file that each was written from.
        """
        self.names = names
        lengths = [read_lengths(prefix.with_name(f"{prefix.name}.ids")) for prefix in prefixes]
        self.ids = [_map(prefix, "ids") for prefix in prefixes]
        self.masks = [_map(prefix, "mask") for prefix in prefixes]
        self.last = np.cumsum([len(part) for part in lengths])
        self.lengths = np.concatenate([part - 1 for part in lengths]).astype(np.int32)
        """Positions of each row: the last id of a row is only a label."""
        self.starts = np.concatenate([np.cumsum(part, dtype=np.int64) - part for part in lengths])

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def __getitem__(self, row: int) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Return the ids and the mask of a row, [length + 1] each."""
        part = int(np.searchsorted(self.last, row, side="right"))
        span = slice(int(self.starts[row]), int(self.starts[row]) + int(self.lengths[row]) + 1)
        return self.ids[part][span], self.masks[part][span]

    def name(self, row: int) -> str:
        """Return file and line of a row."""
        part = int(np.searchsorted(self.last, row, side="right"))
        return f"{self.names[part]}:{row - int(self.last[part - 1]) * bool(part) + 1}"


class PackedRows(Samples):
    """Sequences of packed rows; the bins of one epoch are in memory."""

    def __init__(self, rows: Rows, seq_length: int) -> None:
        """Define the sequences of some rows; the subclass decides their order."""
        self.rows, self.seq_length = rows, seq_length

    @abstractmethod
    def members(self, index: int) -> list[int]:
        """Return the rows in a sequence."""

    def __getitem__(self, index: int) -> Sample:
        """Concatenate the rows of a sequence; a row of n ids takes n - 1 positions."""
        tokens, labels = np.zeros(self.seq_length, np.int64), np.zeros(self.seq_length, np.int64)
        loss_mask, segments = np.zeros(self.seq_length, np.uint8), np.full(self.seq_length, -1, np.int64)
        start = 0
        for segment, row in enumerate(self.members(index)):
            ids, mask = self.rows[row]
            end = start + len(ids) - 1
            tokens[start:end], labels[start:end] = ids[:-1], ids[1:]
            loss_mask[start:end], segments[start:end] = mask[1:], segment
            start = end
        return Sample(tokens, labels, loss_mask, segments)

    def sources(self, index: int) -> list[Span]:
        """Return the rows of a sequence and their positions."""
        members = self.members(index)
        ends = np.cumsum(self.rows.lengths[members]).tolist()
        starts = [0, *ends[:-1]]
        return [Span(self.rows.name(row), *span) for row, *span in zip(members, starts, ends, strict=True)]


class AllRows(PackedRows):
    """Every row exactly once, or every row of a part, in the order of the files, for validation."""

    def __init__(self, rows: Rows, seq_length: int, part: Sequence[int] | None = None) -> None:
        """Pack the rows, or those whose numbers are in ``part``.

        Raises:
            NotEnoughData: there is no row.
        """
        super().__init__(rows, seq_length)
        _check(rows, "validation")
        self.bins = pack(rows.lengths, np.arange(len(rows)) if part is None else np.array(part), seq_length)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.bins)

    def members(self, index: int) -> list[int]:
        """Return the rows in a sequence."""
        return self.bins[index]


def by_category(rows: Rows, files: Sequence[Path], seq_length: int) -> dict[str, AllRows]:
    """Return the rows of each category, sorted by its name; ``files`` are the encoded rows, in the order of ``rows``.

    Raises:
        BadRow: a row has no category.
    """
    numbers: dict[str, list[int]] = {}
    for row, category in enumerate(chain.from_iterable(map(read_categories, files))):
        numbers.setdefault(category, []).append(row)
    return {name: AllRows(rows, seq_length, numbers[name]) for name in sorted(numbers)}


class TrainingRows(PackedRows):
    """Rows in a seeded order, packed epoch after epoch into the sequences of all steps."""

    def __init__(self, rows: Rows, job: Training) -> None:
        """Pack the first epoch.

        Raises:
            NotEnoughData: there is no row.
        """
        super().__init__(rows, job.seq_length)
        _check(rows, "training")
        self.seed, self.count = job.seed, job.max_steps * job.global_batch_size
        self.first = [0]
        """Index of the first sequence of each epoch that was packed."""
        self.epoch, self.bins = 0, self._pack(0)

    def _pack(self, epoch: int) -> Bins:
        """Return the bins of an epoch, and note where the next begins; earlier epochs must have been packed."""
        bins = pack(self.rows.lengths, permutation(self.seed, epoch, len(self.rows)), self.seq_length)
        if epoch + 1 == len(self.first):
            self.first.append(self.first[-1] + len(bins))
        return bins

    def __len__(self) -> int:
        """Return the number of sequences of all steps."""
        return self.count

    def members(self, index: int) -> list[int]:
        """Return the rows in a sequence; earlier epochs are packed for it if that has not happened yet."""
        while self.first[-1] <= index:
            self.epoch, self.bins = len(self.first) - 1, self._pack(len(self.first) - 1)
        epoch = int(np.searchsorted(self.first, index, side="right")) - 1
        if epoch != self.epoch:
            self.epoch, self.bins = epoch, self._pack(epoch)
        return self.bins[index - self.first[epoch]]

    def uses(self) -> list[SetUse]:
        """Return the sets of the rows; a training reads all of them equally often."""
        passes = self.count / self.first[1]
        counts = [(len(ids), int(mask.sum())) for ids, mask in zip(self.rows.ids, self.rows.masks, strict=True)]
        return [SetUse(name, *count, passes) for name, count in zip(self.rows.names, counts, strict=True)]

    def targets(self) -> Iterator[NDArray[np.integer]]:
        """Yield the labels of the first epoch, which has every row."""
        for index in range(min(self.count, self.first[1])):
            yield self[index].labels


def _map(prefix: Path, what: str) -> NDArray[np.generic]:
    ids = read_ids(prefix.with_name(f"{prefix.name}.{what}"))
    assert ids is not None
    return ids


def _check(rows: Rows, split: str) -> None:
    if not len(rows):
        raise NotEnoughData(
            f"The {split} split of the sets in instructions.train has no row.", "Add rows, or name other sets there."
        )
