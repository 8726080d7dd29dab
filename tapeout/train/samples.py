"""Training samples as arrays: what is in every sequence of a training, in the order in which it is used."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapeout.config.dapt import Dapt
from tapeout.config.training import Training
from tapeout.data.encode.packing import Ids, blend, endless_order, pack, permutation, windows
from tapeout.data.encode.prompt import encode_example
from tapeout.data.io.jsonl import read_jsonl
from tapeout.data.io.text import beginning
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError

Mask = NDArray[np.uint8]
Row = tuple[list[int], list[int]]
"""Ids of an instruction row, and its loss mask."""


class TooLittleData(TapeoutError):
    """A data set that does not fill a single sequence."""


@dataclass(frozen=True)
class Samples:
    """Sequences of one length, [n, s] each.

    Attributes:
        tokens: what the model reads.
        labels: what it should say next.
        mask: 1 where the loss counts.
        segments: which row of a packed sequence a token belongs to, -1 for padding; None where all belongs together.
    """

    tokens: Ids
    labels: Ids
    mask: Mask
    segments: Ids | None = None


def text_samples(domain: Path, general: Path, tokenizer: Path, job: Dapt) -> Samples:
    """Windows of domain and general text, ``job.steps * job.global_batch`` of them, in the order of training."""
    encoder = load_encoder(tokenizer)
    count = job.steps * job.global_batch
    from_general = blend(count, job.general_fraction)
    chosen = np.empty((count, job.seq_length + 1), dtype=np.int64)
    for corpus, places in ((domain, ~from_general), (general, from_general)):
        wanted = int(places.sum())
        if wanted:
            available = corpus_windows(corpus, encoder, job, wanted)
            chosen[places] = available[endless_order(job.seed, len(available), wanted)]
    return Samples(chosen[:, :-1], chosen[:, 1:], np.ones((count, job.seq_length), dtype=np.uint8))


def corpus_windows(corpus: Path, encoder: Encoder, job: Dapt, wanted: int) -> Ids:
    """Windows of a corpus; documents are drawn in a seeded order until there are twice the windows that are wanted.

    Raises:
        MalformedRow: a line is no JSON object with a text.
        TooLittleData: the corpus fills no window.
    """
    texts = [row["text"] for row in read_jsonl(corpus, ("text",))]
    documents: list[list[int]] = []
    tokens = 0
    order = permutation(job.seed, 0, len(texts)).tolist()
    while order and tokens < 2 * wanted * job.seq_length:
        batch, order = order[:64], order[64:]
        for ids in encoder.encode_batch([beginning(texts[place], job.document_bytes) for place in batch]):
            documents.append([*encoder.bos_ids, *ids, encoder.eos])
            tokens += len(documents[-1])
    cut = windows(documents, job.seq_length)
    if not len(cut):
        raise TooLittleData(f"{corpus.parent.name} has fewer than {job.seq_length} tokens.", "Add text to the corpus.")
    return cut


def read_rows(path: Path, tokenizer: Path, template: str, limit: int) -> tuple[list[Row], int]:
    """Instruction rows as (ids, mask), without those of more than ``limit`` + 1 ids, and how many these were (F47).

    Raises:
        MalformedRow: a line is no JSON object with an input and an output.
        TooLittleData: no row is short enough.
    """
    encoder = load_encoder(tokenizer)
    rows = read_jsonl(path, ("input", "output"))
    encoded = [encode_example(encoder, template, row["input"], row["output"]) for row in rows]
    kept = [example for example in encoded if len(example[0]) <= limit + 1]
    if not kept:
        raise TooLittleData(f"{path.name} has no row of at most {limit} tokens.", "Add rows, or raise sft.seq_length.")
    return kept, len(encoded) - len(kept)


def row_samples(rows: list[Row], job: Training) -> Samples:
    """Instruction rows packed into ``job.steps * job.global_batch`` sequences, epoch after epoch, in a seeded order."""
    lengths = [len(ids) - 1 for ids, _ in rows]
    count = job.steps * job.global_batch
    bins: list[list[int]] = []
    epoch = 0
    while len(bins) < count:
        bins += pack(lengths, permutation(job.seed, epoch, len(rows)), job.seq_length)
        epoch += 1
    return packed(rows, bins[:count], job.seq_length)


def all_rows(rows: list[Row], seq_length: int) -> Samples:
    """Every row exactly once, packed; for validation."""
    lengths = [len(ids) - 1 for ids, _ in rows]
    return packed(rows, pack(lengths, np.arange(len(rows)), seq_length), seq_length)


def packed(rows: list[Row], bins: list[list[int]], seq_length: int) -> Samples:
    """Lay rows out one after another; a row of n ids takes n - 1 places, and its last id is only a label."""
    shape = (len(bins), seq_length)
    samples = Samples(
        np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.uint8), np.full(shape, -1, np.int64)
    )
    assert samples.segments is not None
    for place, members in enumerate(bins):
        start = 0
        for segment, row in enumerate(members):
            ids, mask = rows[row]
            end = start + len(ids) - 1
            samples.tokens[place, start:end] = ids[:-1]
            samples.labels[place, start:end] = ids[1:]
            samples.mask[place, start:end] = mask[1:]
            samples.segments[place, start:end] = segment
            start = end
    return samples
