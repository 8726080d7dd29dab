"""Documents of one source, decoded, judged, and put into the shard that their own digest names.

A document more changes one shard; an edited one leaves its shard for that of its new digest. Nothing of a row
depends on other documents. All is streamed: memory holds some batches and a buffer for each shard.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import orjson

from tapeout.config.pretraining import DocumentsJob, shard_name
from tapeout.data.io.decoding import decode_bytes, tidy
from tapeout.data.io.empty import EmptyCorpus
from tapeout.data.io.jsonl import write_json
from tapeout.data.io.parallel import in_order
from tapeout.data.io.text_row import is_allowed, text_row
from tapeout.data.shards.readers import Raw, raw_documents

BATCH = 2**20
"""Bytes of raw text that go to a process at once."""
BUFFER = 2**18
"""Bytes that a shard gathers before they are written: with 200 shards, 50 MB in all."""


@dataclass
class Batch:
    """What was made of some documents: lines of JSON by shard, and counts."""

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)


def write_shards(folder: Path, output: Path, job: DocumentsJob, workers: int) -> None:
    """Write ``<shard>.jsonl`` for each shard, and ``report.json``, into the new folder ``output``.

    Raises:
        BrokenArchive, MalformedRow, UnreadableFile: as named.
        EmptyCorpus: nothing is left of the source.
    """
    output.mkdir()
    dropped, repaired = Counter[str](), Counter[str]()
    kept = Counter[str]()
    buffers = [bytearray() for _ in range(job.shards)]
    files = [output / f"{shard_name(number)}.jsonl" for number in range(job.shards)]
    for file in files:
        file.touch()
    batches = in_batches(raw_documents(folder, job, job.field, dropped))
    for batch in in_order(partial(prepare, job=job), batches, workers):
        dropped += batch.dropped
        repaired += batch.repaired
        for number, line in batch.lines:
            buffers[number] += line
            kept["documents"] += 1
            kept["bytes"] += len(line)
            if len(buffers[number]) >= BUFFER:
                _flush(files[number], buffers[number])
    for file, buffer in zip(files, buffers, strict=True):
        _flush(file, buffer)
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted((+dropped).items()))
        raise EmptyCorpus(
            f"Source {job.source} gives no document (left out: {reasons or 'it holds no file'}).",
            f"Change include, field, licences or limits of component {job.component} in pretraining, or leave it out.",
        )
    counts: dict[str, Counter[str]] = {"kept": kept, "dropped": dropped, "repaired": repaired}
    write_json(output / "report.json", {"source": job.source, **{name: dict(+each) for name, each in counts.items()}})


def _flush(file: Path, buffer: bytearray) -> None:
    # opened for each write: 4096 shards are more files than a process may hold open
    with file.open("ab") as stream:
        stream.write(buffer)
    buffer.clear()


def in_batches(documents: Iterable[Raw], size: int = BATCH) -> Iterator[list[Raw]]:
    """Group documents to about ``size`` bytes."""
    batch: list[Raw] = []
    weight = 0
    for document in documents:
        batch.append(document)
        weight += len(document.content or b"") + 100
        if weight >= size:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def prepare(raws: list[Raw], job: DocumentsJob) -> Batch:
    """Decode, tidy and judge documents, and say in which shard each lies."""
    batch = Batch()
    allowed = frozenset(job.licences)
    for raw in raws:
        content, licence = raw.content, raw.licence
        if raw.line and isinstance(content, bytes):
            content, licence = text_row(raw.path, raw.line, content, job.field, batch.repaired)
        text = decode_bytes(content, batch.repaired) if isinstance(content, bytes) else content
        if text is None:
            batch.dropped["binary" if isinstance(content, bytes) else "no text"] += 1
            continue
        text = tidy(text, batch.repaired)
        encoded = text.encode()
        reason = ""
        if len(encoded) > job.max_bytes:
            reason = "too large"
        elif len(text.strip()) < job.min_characters:
            reason = "too short"
        elif not is_allowed(licence or job.licence, allowed):
            reason = "licence not allowed"
        if reason:
            batch.dropped[reason] += 1
            continue
        digest = hashlib.sha256(encoded).hexdigest()
        row = {
            "digest": digest,
            "component": job.component,
            "licence": licence or job.licence,
            "path": raw.path,
            "source": job.source,
            "text": text,
        }
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        batch.lines.append((shard_of(digest, job.shards), line))
    return batch


def shard_of(digest: str, shards: int) -> int:
    """The shard of a document: the first 60 bits of its digest, cut into equal parts."""
    return int(digest[:15], 16) * shards >> 60
