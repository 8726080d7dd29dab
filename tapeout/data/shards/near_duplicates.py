"""Near duplicates over all shards, by locality-sensitive hashing of their signatures.

A document goes if one that is near it has a smaller digest, whatever becomes of that one. So a new document decides
only about those that are near it: the lists of all other shards stay as they are, and with them what is made of the
shards. (To take whole clusters would drop a little more, and let one document join clusters all over the corpus.)
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tapeout.config.pretraining import NearDuplicates
from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.data.shards.minhash import Signatures

AT_ONCE = 2**16
"""Signatures, or pairs of them, that are looked at in one step: 64 MB."""

Places = NDArray[np.int64]


class Stored:
    """Signatures in a file. Each question maps it anew, so that no more stays in memory than was asked for."""

    def __init__(self, file: IO[bytes], shape: tuple[int, int]) -> None:
        self.file = file
        self.shape = shape

    def __getitem__(self, wanted: Any) -> Signatures:
        found: Signatures = np.memmap(self.file, dtype=np.uint32, mode="r", shape=self.shape)[wanted]
        return found


class Pairs:
    """Who goes because of whom, found pair by pair."""

    def __init__(self, signatures: Signatures | Stored, threshold: float) -> None:
        self.signatures = signatures
        self.needed = int(np.ceil(threshold * signatures.shape[1] - 1e-9))
        self.near = np.full(signatures.shape[0], -1, dtype=np.int64)
        self.equal = np.zeros(signatures.shape[0], dtype=np.int32)

    def compare(self, first: Places, second: Places, unless_gone: bool = False) -> None:
        """Note for each of ``second`` that is near its ``first`` that it goes.

        Args:
            first: smaller ones.
            second: each is named once.
            unless_gone: leave out of ``second`` what was found already.
        """
        if unless_gone:
            waiting = self.near[second] < 0
            first, second = first[waiting], second[waiting]
        for start in range(0, len(first), AT_ONCE):
            one, other = first[start : start + AT_ONCE], second[start : start + AT_ONCE]
            equal = (self.signatures[one] == self.signatures[other]).sum(axis=1)
            found = equal >= self.needed
            self.near[other[found]] = one[found]
            self.equal[other[found]] = equal[found]

    def bucket(self, members: Places) -> None:
        """Note of each member that has not gone yet the first before it that it is near, gone or not.

        The first member having been compared with all; ``members`` are sorted.
        """
        rest = members[1:]
        for place in np.flatnonzero(self.near[rest] < 0).tolist():
            for start in range(0, place, AT_ONCE):
                before = rest[start : min(start + AT_ONCE, place)]
                equal = (self.signatures[before] == self.signatures[rest[place]]).sum(axis=1)
                found = np.flatnonzero(equal >= self.needed)
                if len(found):
                    self.near[rest[place]] = before[found[0]]
                    self.equal[rest[place]] = equal[found[0]]
                    break


def find(signatures: Signatures | Stored, settings: NearDuplicates) -> Pairs:
    """Go through all bands. Documents stand in the order of their digests."""
    pairs = Pairs(signatures, settings.threshold)
    rows = settings.permutations // settings.bands
    for band in range(settings.bands):
        columns = slice(band * rows, (band + 1) * rows)
        keys = np.empty(signatures.shape[0], dtype=np.uint64)
        for start in range(0, len(keys), AT_ONCE):
            keys[start : start + AT_ONCE] = _keys(signatures[start : start + AT_ONCE, columns])
        order = np.argsort(keys, kind="stable")
        again = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1  # who has the key of the one before
        heads = np.arange(len(order))
        heads[again] = 0
        heads = np.maximum.accumulate(heads) if len(heads) else heads
        pairs.compare(order[heads[again]], order[again], unless_gone=True)
        starts, sizes = np.unique(heads[again], return_counts=True)
        left = np.concatenate([[0], np.cumsum(pairs.near[order] < 0)])
        left = left[starts + sizes + 1] - left[starts + 1]
        for start, size in zip(starts[left > 0], sizes[left > 0], strict=True):
            pairs.bucket(order[start : start + size + 1])
    return pairs


def _keys(columns: Signatures) -> NDArray[np.uint64]:
    keys = np.zeros(len(columns), dtype=np.uint64)
    for column in range(columns.shape[1]):
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + columns[:, column]
        keys ^= keys >> np.uint64(31)
    return keys


def write_near(folders: Sequence[Path], names: Sequence[str], output: Path, settings: NearDuplicates) -> None:
    """Write for each shard which of its documents go, because of whom, and how alike they are; and report.json.

    Args:
        folders: each shard's signatures, in the order of the shards: the documents' digests are then in order.
        names: of the shards.
        output: is made.
        settings: as the signatures were made with.
    """
    output.mkdir()
    digests = [np.load(folder / "digests.npy") for folder in folders]
    bounds = np.cumsum([0, *map(len, digests)])
    with tempfile.TemporaryFile() as file:
        # in a file, because the signatures of a large corpus do not fit the memory
        for folder in folders:
            file.write(np.load(folder / "minhash.npy").tobytes())
        file.flush()
        pairs = find(Stored(file, (int(bounds[-1]), settings.permutations)), settings)
    everyone = np.concatenate(digests)
    for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        gone = start + np.flatnonzero(pairs.near[start:end] >= 0)
        rows = (
            {
                "digest": everyone[place].tobytes().hex(),
                "like": everyone[pairs.near[place]].tobytes().hex(),
                "similarity": round(int(pairs.equal[place]) / settings.permutations, 4),
            }
            for place in gone
        )
        write_jsonl(output / f"{name}.jsonl", rows)
    report = {"documents": int(bounds[-1]), "near duplicates": int((pairs.near >= 0).sum())}
    write_json(output / "report.json", report)
