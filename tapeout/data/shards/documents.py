"""Decode and filter the documents of one source, and assign each to the shard selected by its digest.

A new document changes one shard; an edited one moves from its shard to that of its new digest. A row does not depend on
other documents. Everything is streamed: memory is bounded by a few batches and a buffer per shard.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import orjson

from tapeout.config.pretraining import DocumentsJob, shard_name
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import write_json
from tapeout.data.io.parallel import in_order
from tapeout.data.io.readers import Raw, raw_documents
from tapeout.data.io.text import usable_text
from tapeout.data.io.text_rows import is_allowed, text_row

BATCH = 2**20
"""Bytes of raw text handed to a worker process at a time."""
BUFFER = 2**18
"""Bytes buffered per shard: 50 MB in total with 200 shards."""


@dataclass
class PreparedBatch:
    """Prepared documents of a batch: lines of JSON, each with its shard, and counts, also of documents by licence."""

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    licences: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)


def write_documents(folder: Path, output: Path, job: DocumentsJob, workers: int) -> None:
    """Write ``<shard>.jsonl`` for each shard, and ``report.json``, into the new folder ``output``.

    Raises:
        UnreadableFile: a file is damaged.
        BadRow: a line is not a row with a text.
        NotEnoughData: no document of the source is left.
    """
    output.mkdir()
    dropped, repaired = Counter[str](), Counter[str]()
    kept, licences = Counter[str](), Counter[str]()
    buffers = [bytearray() for _ in range(job.shards)]
    files = [output / f"{shard_name(number)}.jsonl" for number in range(job.shards)]
    for file in files:
        file.touch()
    batches = in_batches(raw_documents(folder, job, job.field, dropped))
    for batch in in_order(partial(prepare, job=job), batches, workers):
        licences += batch.licences
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
        raise NotEnoughData(
            f"Source {job.source} has no usable document (left out: {reasons or 'it has no file'}).",
            f"Change include, field, licences or limits of pretraining component {job.component}, or drop the source.",
        )
    counts: dict[str, Counter[str]] = {"kept": kept, "licences": licences, "dropped": dropped, "repaired": repaired}
    write_json(
        output / "report.json", {"source": job.source, **{name: dict(+counter) for name, counter in counts.items()}}
    )


def _flush(file: Path, buffer: bytearray) -> None:
    # opened for each write: 4096 shards are more files than a process may have open
    with file.open("ab") as stream:
        stream.write(buffer)
    buffer.clear()


def in_batches(documents: Iterable[Raw]) -> Iterator[list[Raw]]:
    """Group documents into batches of about ``BATCH`` bytes."""
    batch: list[Raw] = []
    weight = 0
    for document in documents:
        batch.append(document)
        weight += len(document.content or b"") + 100
        if weight >= BATCH:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def prepare(documents: list[Raw], job: DocumentsJob) -> PreparedBatch:
    """Decode and filter documents, and assign them to shards."""
    batch = PreparedBatch()
    allowed = frozenset(job.licences)
    for raw in documents:
        content, licence = raw.content, raw.licence
        if raw.line and isinstance(content, bytes):
            content, licence = text_row(raw.path, raw.line, content, job.field, batch.repaired)
        text, reason = usable_text(raw.path, content, job, batch.repaired)
        if not reason and not is_allowed(licence or job.licence, allowed):
            reason = "licence not allowed"
        if reason:
            batch.dropped[reason] += 1
            continue
        encoded = text.encode()
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
        batch.licences[row["licence"]] += 1
        batch.lines.append((shard_of(digest, job.shards), line))
    return batch


def shard_of(digest: str, shards: int) -> int:
    """Return the shard of a document: the first 60 bits of its digest, divided into equal ranges."""
    return int(digest[:15], 16) * shards >> 60
