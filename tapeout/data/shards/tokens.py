"""Encode a shard's documents into Megatron-core data sets, one per component of the blend, with exact token counts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from tapeout.data.io.jsonl import read_jsonl, write_json
from tapeout.data.io.parallel import in_order
from tapeout.data.shards.token_files import IndexedWriter, id_type
from tapeout.encoder.bulk import BulkEncoder, bulk_encoder
from tapeout.encoder.load import load_encoder

BATCH = 2**20
"""Bytes of documents that a process gets at once."""
ALTERED = "documents with a character that the tokenizer does not give back"


@dataclass
class Encoded:
    """Stored ids of some documents of one component; ``altered`` counts texts that decoding does not restore."""

    ids: list[bytes] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    text_bytes: int = 0
    altered: int = 0


_encoder: BulkEncoder | None = None


def start(model: Path, append_eod: bool) -> None:
    """Load the tokenizer in a worker process."""
    global _encoder
    _encoder = bulk_encoder(load_encoder(model), stored_type(model), append_eod)


def stored_type(model: Path) -> np.dtype[np.generic]:
    """Return the type of the stored ids of a tokenizer."""
    return id_type(load_encoder(model).size)


def write_tokens(documents: Path, near: Path | None, model: Path, output: Path, append_eod: bool, workers: int) -> None:
    """Write ``<component>.bin`` and ``.idx`` of each component with a document, and report.json, into a new folder.

    Args:
        documents: the shard's documents, JSONL.
        near: the shard's near duplicates, which are left out; None to keep all documents.
        model: file of the tokenizer.
        output: the folder to create.
        append_eod: whether the end-of-sequence id follows each document.
        workers: number of processes.
    """
    duplicates = frozenset(row["digest"] for row in read_jsonl(near, ("digest",))) if near is not None else frozenset()
    dtype = stored_type(model)
    output.mkdir()
    counts: dict[str, Counter[str]] = {}
    writers: dict[str, IndexedWriter] = {}
    work = in_order(
        partial(encode, duplicates=duplicates), _batches(documents), workers, partial(start, model, append_eod)
    )
    with ExitStack() as stack:
        for part in work:
            for component, encoded in part.items():
                if component not in writers:
                    writers[component] = stack.enter_context(IndexedWriter(output / component, dtype))
                    counts[component] = Counter()
                writers[component].write(b"".join(encoded.ids), encoded.lengths)
                counts[component] += Counter(
                    documents=len(encoded.lengths), tokens=sum(encoded.lengths), bytes=encoded.text_bytes
                )
                if encoded.altered:
                    counts[component][ALTERED] += encoded.altered
    write_json(output / "report.json", {component: dict(count) for component, count in counts.items()})


def _batches(documents: Path) -> Iterator[list[bytes]]:
    with documents.open("rb") as stream:
        while lines := stream.readlines(BATCH):
            yield lines


def encode(lines: Iterable[bytes], duplicates: frozenset[str]) -> dict[str, Encoded]:
    """Encode documents, grouped by component."""
    assert _encoder is not None, "start() has not been called in this process"
    components: dict[str, Encoded] = {}
    width = _encoder.dtype.itemsize
    for line in lines:
        row = orjson.loads(line)
        if row["digest"] not in duplicates:
            encoded = components.setdefault(row["component"], Encoded())
            ids = _encoder.encode(row["text"])
            encoded.ids.append(ids)
            encoded.lengths.append(len(ids) // width)
            encoded.text_bytes += len(row["text"].encode())
            encoded.altered += _encoder.encoder.is_altered(row["text"])
    return components
