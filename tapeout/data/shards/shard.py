"""Clean one shard: remove exact duplicates, filter, scrub, sort by digest, and compute a signature of each document.

A document's digest is that of its text as read, before scrubbing. Equal texts always lie in the same shard, so that
duplicates are found without the other shards.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from tapeout.config.pretraining import ShardJob
from tapeout.data.io.jsonl import write_json
from tapeout.data.io.parallel import in_order
from tapeout.data.shards.cleaning import quality_problem, scrub
from tapeout.data.shards.signatures import Signatures, signatures

DIGEST = slice(len('{"digest":"'), len('{"digest":"') + 64)
"""Position of the digest in a line that ``tapeout.data.shards.documents`` wrote."""
BATCH = 2**20

LinePosition = tuple[int, int, int]
"""Number of the file, offset, length."""


@dataclass
class Cleaned:
    """Result for some lines; the counts are by source and reason."""

    lines: list[bytes] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    signatures: Signatures | None = None
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    scrubbed: Counter[tuple[str, str]] = field(default_factory=Counter)


def write_shard(parts: Sequence[Path], output: Path, job: ShardJob, workers: int) -> None:
    """Write documents.jsonl, report.json and, if near duplicates are removed, signatures/ into a new folder.

    Args:
        parts: the shard's lines of each source. Of equal documents the one of the first source stays, and of several
            in that source the smallest line, so that the order of a source's files and rows does not matter.
        output: the folder to create.
        job: the parameters.
        workers: number of processes.
    """
    output.mkdir()
    total = Cleaned()
    signed: list[Signatures] = []
    positions = _distinct(parts, total.dropped)
    with (output / "documents.jsonl").open("wb") as stream:
        for part in in_order(partial(clean, job=job), _batches(parts, positions), workers):
            stream.writelines(part.lines)
            total.digests += part.digests
            total.kept += part.kept
            total.dropped += part.dropped
            total.scrubbed += part.scrubbed
            if part.signatures is not None:
                signed.append(part.signatures)
    if job.near_duplicates is not None:
        (output / "signatures").mkdir()
        digests = np.frombuffer(bytes.fromhex("".join(total.digests)), dtype=np.uint8).reshape(-1, 32)
        np.save(output / "signatures" / "digests.npy", digests)
        empty = np.empty((0, job.near_duplicates.permutations), dtype=np.uint32)
        np.save(output / "signatures" / "minhash.npy", np.concatenate([empty, *signed]))
    counts = {"kept": total.kept, "dropped": total.dropped, "scrubbed": total.scrubbed}
    write_json(output / "report.json", {name: nested(counter) for name, counter in counts.items()})


def _distinct(parts: Sequence[Path], dropped: Counter[tuple[str, str]]) -> list[LinePosition]:
    """Return the positions of the lines of distinct documents, sorted by digest."""
    positions: dict[bytes, LinePosition] = {}
    for number, part in enumerate(parts):
        offset = 0
        with part.open("rb") as stream, part.open("rb") as again:
            for line in stream:
                digest, position = bytes.fromhex(line[DIGEST].decode()), (number, offset, len(line))
                first = positions.setdefault(digest, position)
                if first != position:
                    dropped[orjson.loads(line)["source"], "duplicate"] += 1
                    if first[0] == number and line < _line(again, first):
                        positions[digest] = position
                offset += len(line)
    return [positions[digest] for digest in sorted(positions)]


def _line(stream: IO[bytes], position: LinePosition) -> bytes:
    stream.seek(position[1])
    return stream.read(position[2])


def _batches(parts: Sequence[Path], positions: Sequence[LinePosition]) -> Iterator[list[bytes]]:
    streams = [part.open("rb") for part in parts]
    try:
        batch: list[bytes] = []
        size = 0
        for number, offset, length in positions:
            batch.append(_line(streams[number], (number, offset, length)))
            size += length
            if size >= BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch
    finally:
        for stream in streams:
            stream.close()


def clean(lines: list[bytes], job: ShardJob) -> Cleaned:
    """Filter, scrub and sign documents."""
    cleaned = Cleaned()
    texts = []
    for line in lines:
        row: dict[str, str] = orjson.loads(line)
        reason = quality_problem(row["text"], job.quality)
        if reason:
            cleaned.dropped[row["source"], reason] += 1
            continue
        counts = Counter[str]()
        text = scrub(row["text"], job.scrub, counts)
        if counts:
            cleaned.scrubbed += Counter({(row["source"], kind): count for kind, count in counts.items()})
            line = orjson.dumps({**row, "text": text}, option=orjson.OPT_APPEND_NEWLINE)
        cleaned.lines.append(line)
        cleaned.digests.append(row["digest"])
        cleaned.kept[row["source"], "documents"] += 1
        cleaned.kept[row["source"], "bytes"] += len(text.encode())
        texts.append(text)
    if job.near_duplicates is not None:
        cleaned.signatures = signatures(texts, job.near_duplicates)
    return cleaned


def nested(counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Return counts by (source, reason) as a mapping of mappings."""
    result: dict[str, dict[str, int]] = defaultdict(dict)
    for (source, reason), count in counts.items():
        result[source][reason] = count
    return result
