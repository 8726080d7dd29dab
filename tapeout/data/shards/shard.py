"""One shard of a corpus: exact duplicates removed, judged, scrubbed, sorted by digest, with a signature of each one.

A document's digest is that of its text as it was read, before anything was scrubbed. Equal texts always lie in one
shard, so that no other shard need be asked.
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
from tapeout.data.shards.minhash import Signatures, signatures
from tapeout.data.shards.quality import poor
from tapeout.data.shards.scrub import scrub

DIGEST = slice(len('{"digest":"'), len('{"digest":"') + 64)
"""Where the digest stands in a line that ``tapeout.data.shards.sharding`` wrote."""
BATCH = 2**20

Place = tuple[int, int, int]
"""A line: number of the file, offset, length."""


@dataclass
class Cleaned:
    """What is left of some lines."""

    lines: list[bytes] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    signatures: Signatures | None = None
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    scrubbed: Counter[tuple[str, str]] = field(default_factory=Counter)


def write_shard(parts: Sequence[Path], output: Path, job: ShardJob, workers: int) -> None:
    """Make the folder ``output`` with documents.jsonl, report.json, and the folder signatures if they are wanted.

    Args:
        parts: the shard's lines of each source; of equal documents that of the first source is kept, and of those the
            smallest line, so that the order of a source's files and rows decides nothing.
        output: is made.
        job: how to judge.
        workers: processes.
    """
    output.mkdir()
    whole = Cleaned()
    found: list[Signatures] = []
    places = _distinct(parts, whole.dropped)
    with (output / "documents.jsonl").open("wb") as stream:
        for made in in_order(partial(clean, job=job), _batches(parts, places), workers):
            stream.writelines(made.lines)
            whole.digests += made.digests
            whole.kept += made.kept
            whole.dropped += made.dropped
            whole.scrubbed += made.scrubbed
            if made.signatures is not None:
                found.append(made.signatures)
    if job.near_duplicates is not None:
        (output / "signatures").mkdir()
        digests = np.frombuffer(bytes.fromhex("".join(whole.digests)), dtype=np.uint8).reshape(-1, 32)
        np.save(output / "signatures" / "digests.npy", digests)
        empty = np.empty((0, job.near_duplicates.permutations), dtype=np.uint32)
        np.save(output / "signatures" / "minhash.npy", np.concatenate([empty, *found]))
    counts = {"kept": whole.kept, "dropped": whole.dropped, "scrubbed": whole.scrubbed}
    write_json(output / "report.json", {name: nested(each) for name, each in counts.items()})


def _distinct(parts: Sequence[Path], dropped: Counter[tuple[str, str]]) -> list[Place]:
    """Places of the lines without those that repeat a document, sorted by digest."""
    places: dict[bytes, Place] = {}
    for number, part in enumerate(parts):
        offset = 0
        with part.open("rb") as stream, part.open("rb") as again:
            for line in stream:
                digest, place = bytes.fromhex(line[DIGEST].decode()), (number, offset, len(line))
                kept = places.setdefault(digest, place)
                if kept != place:
                    dropped[orjson.loads(line)["source"], "duplicate"] += 1
                    if kept[0] == number and line < _line(again, kept):
                        places[digest] = place
                offset += len(line)
    return [places[digest] for digest in sorted(places)]


def _line(stream: IO[bytes], place: Place) -> bytes:
    stream.seek(place[1])
    return stream.read(place[2])


def _batches(parts: Sequence[Path], places: Sequence[Place]) -> Iterator[list[bytes]]:
    streams = [part.open("rb") for part in parts]
    try:
        batch: list[bytes] = []
        size = 0
        for number, offset, length in places:
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
    """Judge and scrub documents, and take their signatures."""
    made = Cleaned()
    texts = []
    for line in lines:
        row: dict[str, str] = orjson.loads(line)
        reason = poor(row["text"], job.quality)
        if reason:
            made.dropped[row["source"], reason] += 1
            continue
        found = Counter[str]()
        text = scrub(row["text"], job.scrub, found)
        if found:
            made.scrubbed += Counter({(row["source"], kind): count for kind, count in found.items()})
            line = orjson.dumps({**row, "text": text}, option=orjson.OPT_APPEND_NEWLINE)
        made.lines.append(line)
        made.digests.append(row["digest"])
        made.kept[row["source"], "documents"] += 1
        made.kept[row["source"], "bytes"] += len(text.encode())
        texts.append(text)
    if job.near_duplicates is not None:
        made.signatures = signatures(texts, job.near_duplicates)
    return made


def nested(counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Counts by (source, reason) as a mapping of mappings."""
    result: dict[str, dict[str, int]] = defaultdict(dict)
    for (source, reason), count in counts.items():
        result[source][reason] = count
    return result
