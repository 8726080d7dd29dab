"""Near duplicates across all shards, by locality-sensitive hashing of signatures.

A document is dropped if a near duplicate of it has a smaller digest, whether or not that one is dropped too. So a new
document affects only its own near duplicates, and the lists of all other shards stay as they are. (Dropping all but one
of a cluster would remove slightly more, but one document could join clusters all over the corpus.)
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tapeout.config.pretraining import NearDuplicates
from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.data.shards.signatures import Signatures

CHUNK = 2**16
"""Signatures, or pairs of them, that are processed in one step: 64 MB."""

Indices = NDArray[np.int64]


class SignatureFile:
    """Signatures in a file. Each access maps the file anew, so that only what was requested stays in memory."""

    def __init__(self, file: IO[bytes], shape: tuple[int, int]) -> None:
        """Describe a file of 32-bit numbers, [documents, permutations]."""
        self.file = file
        self.shape = shape

    def __getitem__(self, wanted: Any) -> Signatures:
        """Return the signatures of an index, as in NumPy."""
        part: Signatures = np.memmap(self.file, dtype=np.uint32, mode="r", shape=self.shape)[wanted]
        return part


class NearMatches:
    """Near duplicates found so far.

    Attributes:
        match: for each document, the index of the document that it is a near duplicate of, or -1.
        equal: for each dropped document the number of equal numbers in the two signatures.
    """

    def __init__(self, signatures: Signatures | SignatureFile, threshold: float) -> None:
        """Start without matches; ``threshold`` is the minimum similarity of near duplicates."""
        self.signatures = signatures
        self.min_equal = int(np.ceil(threshold * signatures.shape[1] - 1e-9))
        self.match = np.full(signatures.shape[0], -1, dtype=np.int64)
        self.equal = np.zeros(signatures.shape[0], dtype=np.int32)

    def compare(self, first: Indices, second: Indices, skip_matched: bool = False) -> None:
        """Compare pairs of documents, and record the matches of the second ones, each of which occurs at most once."""
        if skip_matched:
            unmatched = self.match[second] < 0
            first, second = first[unmatched], second[unmatched]
        for start in range(0, len(first), CHUNK):
            one, other = first[start : start + CHUNK], second[start : start + CHUNK]
            equal = (self.signatures[one] == self.signatures[other]).sum(axis=1)
            near = equal >= self.min_equal
            self.match[other[near]] = one[near]
            self.equal[other[near]] = equal[near]

    def compare_bucket(self, members: Indices) -> None:
        """Match each unmatched member of a bucket with the first near duplicate before it.

        ``members`` are sorted indices; the first one has been compared with all others.
        """
        rest = members[1:]
        for index in np.flatnonzero(self.match[rest] < 0).tolist():
            for start in range(0, index, CHUNK):
                before = rest[start : min(start + CHUNK, index)]
                equal = (self.signatures[before] == self.signatures[rest[index]]).sum(axis=1)
                near = np.flatnonzero(equal >= self.min_equal)
                if len(near):
                    self.match[rest[index]] = before[near[0]]
                    self.equal[rest[index]] = equal[near[0]]
                    break


def find(signatures: Signatures | SignatureFile, settings: NearDuplicates) -> NearMatches:
    """Find the near duplicates among documents that are sorted by digest."""
    matches = NearMatches(signatures, settings.threshold)
    rows = settings.permutations // settings.bands
    for band in range(settings.bands):
        columns = slice(band * rows, (band + 1) * rows)
        keys = np.empty(signatures.shape[0], dtype=np.uint64)
        for start in range(0, len(keys), CHUNK):
            keys[start : start + CHUNK] = _keys(signatures[start : start + CHUNK, columns])
        order = np.argsort(keys, kind="stable")
        repeats = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1  # positions with the key of the one before
        heads = np.arange(len(order))
        heads[repeats] = 0
        heads = np.maximum.accumulate(heads) if len(heads) else heads
        matches.compare(order[heads[repeats]], order[repeats], skip_matched=True)
        starts, sizes = np.unique(heads[repeats], return_counts=True)
        unmatched = np.concatenate([[0], np.cumsum(matches.match[order] < 0)])
        unmatched = unmatched[starts + sizes + 1] - unmatched[starts + 1]
        for start, size in zip(starts[unmatched > 0], sizes[unmatched > 0], strict=True):
            matches.compare_bucket(order[start : start + size + 1])
    return matches


def _keys(columns: Signatures) -> NDArray[np.uint64]:
    keys = np.zeros(len(columns), dtype=np.uint64)
    for column in range(columns.shape[1]):
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + columns[:, column]
        keys ^= keys >> np.uint64(31)
    return keys


def write_near(folders: Sequence[Path], names: Sequence[str], output: Path, settings: NearDuplicates) -> None:
    """Write the dropped documents of each shard, with match and similarity, and report.json into a new folder."""
    output.mkdir()
    digests = [np.load(folder / "digests.npy") for folder in folders]
    bounds = np.cumsum([0, *map(len, digests)])
    with tempfile.TemporaryFile() as file:
        # in a file, because the signatures of a large corpus do not fit into memory
        for folder in folders:
            file.write(np.load(folder / "minhash.npy").tobytes())
        file.flush()
        matches = find(SignatureFile(file, (int(bounds[-1]), settings.permutations)), settings)
    digest = np.concatenate(digests)
    for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        dropped = start + np.flatnonzero(matches.match[start:end] >= 0)
        rows = (
            {
                "digest": digest[index].tobytes().hex(),
                "like": digest[matches.match[index]].tobytes().hex(),
                "similarity": round(int(matches.equal[index]) / settings.permutations, 4),
            }
            for index in dropped
        )
        write_jsonl(output / f"{name}.jsonl", rows)
    report = {"documents": int(bounds[-1]), "near duplicates": int((matches.match >= 0).sum())}
    write_json(output / "report.json", report)
