"""A shard's documents as Megatron-core's data sets, one for each component of the blend, tokens counted exactly."""

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
MARKED = "documents with U+2581, which the tokenizer takes for a blank"


@dataclass
class Encoded:
    """Stored ids of some documents of one component."""

    ids: list[bytes] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    text_bytes: int = 0
    marked: int = 0


_encoder: BulkEncoder | None = None


def start(model: Path, append_end: bool) -> None:
    """Read the model in a process that is going to encode."""
    global _encoder
    _encoder = bulk_encoder(load_encoder(model), stored(model), append_end)


def stored(model: Path) -> np.dtype[np.generic]:
    """Type of the ids that a model's data sets hold."""
    return id_type(load_encoder(model).size)


def write_tokens(documents: Path, near: Path | None, model: Path, output: Path, append_end: bool, workers: int) -> None:
    """Make the folder ``output``: ``<component>.bin`` and ``.idx`` of each component that has a document, report.json.

    Args:
        documents: of the shard.
        near: which of them go; None if all stay.
        model: SentencePiece file.
        output: is made.
        append_end: whether the end-of-sequence id follows each document.
        workers: processes.
    """
    gone = frozenset(row["digest"] for row in read_jsonl(near, ("digest",))) if near is not None else frozenset()
    kind = stored(model)
    output.mkdir()
    counts: dict[str, Counter[str]] = {}
    writers: dict[str, IndexedWriter] = {}
    work = in_order(partial(encode, gone=gone), _batches(documents), workers, partial(start, model, append_end))
    with ExitStack() as stack:
        for made in work:
            for component, encoded in made.items():
                if component not in writers:
                    writers[component] = stack.enter_context(IndexedWriter(output / component, kind))
                    counts[component] = Counter()
                writers[component].write(b"".join(encoded.ids), encoded.lengths)
                counts[component] += Counter(
                    documents=len(encoded.lengths), tokens=sum(encoded.lengths), bytes=encoded.text_bytes
                )
                if encoded.marked:
                    counts[component][MARKED] += encoded.marked
    write_json(output / "report.json", {component: dict(each) for component, each in counts.items()})


def _batches(documents: Path) -> Iterator[list[bytes]]:
    with documents.open("rb") as stream:
        while lines := stream.readlines(BATCH):
            yield lines


def encode(lines: Iterable[bytes], gone: frozenset[str]) -> dict[str, Encoded]:
    """Encode documents, each for its component."""
    assert _encoder is not None, "start() has not been called in this process"
    made: dict[str, Encoded] = {}
    width = _encoder.dtype.itemsize
    for line in lines:
        row = orjson.loads(line)
        if row["digest"] not in gone:
            encoded = made.setdefault(row["component"], Encoded())
            ids = _encoder.encode(row["text"])
            encoded.ids.append(ids)
            encoded.lengths.append(len(ids) // width)
            encoded.text_bytes += len(row["text"].encode())
            encoded.marked += _encoder.encoder.is_altered(row["text"])
    return made
