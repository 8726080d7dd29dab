"""Samples of instruction tuning: rows of token ids, several packed into one sequence."""

import numpy as np

from tapeout.config.training import Training
from tapeout.data.encode.packing import pack, permutation
from tapeout.train.samples import Samples

Row = tuple[list[int], list[int]]
"""Token ids of an instruction row, and its loss mask."""


def row_samples(rows: list[Row], job: Training) -> Samples:
    """Pack rows into ``job.max_steps * job.global_batch_size`` sequences, epoch after epoch, in a seeded order."""
    return lay_out(rows, training_bins(rows, job), job.seq_length)


def training_bins(rows: list[Row], job: Training) -> list[list[int]]:
    """Return the indices of the rows in each sequence of a training run."""
    lengths = [len(ids) - 1 for ids, _ in rows]
    count = job.max_steps * job.global_batch_size
    bins: list[list[int]] = []
    epoch = 0
    while len(bins) < count:
        bins += pack(lengths, permutation(job.seed, epoch, len(rows)), job.seq_length)
        epoch += 1
    return bins[:count]


def all_rows(rows: list[Row], seq_length: int) -> Samples:
    """Pack every row exactly once, for validation."""
    lengths = [len(ids) - 1 for ids, _ in rows]
    return lay_out(rows, pack(lengths, np.arange(len(rows)), seq_length), seq_length)


def lay_out(rows: list[Row], bins: list[list[int]], seq_length: int) -> Samples:
    """Concatenate the rows of each bin into a sequence.

    A row of n ids takes n - 1 positions, because its last id is only a label.
    """
    shape = (len(bins), seq_length)
    tokens, labels = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    masks, segments = np.zeros(shape, np.uint8), np.full(shape, -1, np.int64)
    for sequence, members in enumerate(bins):
        start = 0
        for segment, row in enumerate(members):
            ids, mask = rows[row]
            end = start + len(ids) - 1
            tokens[sequence, start:end] = ids[:-1]
            labels[sequence, start:end] = ids[1:]
            masks[sequence, start:end] = mask[1:]
            segments[sequence, start:end] = segment
            start = end
    return Samples(tokens, labels, masks, segments)
