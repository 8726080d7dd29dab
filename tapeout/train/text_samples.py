"""Samples of continued pretraining: windows of two corpora, or of a tokenized corpus in shards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from tapeout.config.dapt import Dapt
from tapeout.data.encode.packing import Ids, blend, endless_order, permutation, windows
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import read_jsonl
from tapeout.data.io.text import beginning
from tapeout.data.shards.token_files import read_ids
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.train.samples import Samples

DOCUMENTS_PER_BATCH = 64
IdsOf = Callable[[int, list[int]], list[int]]


def corpus_samples(domain: Path, general: Path, tokenizer: Path, job: Dapt) -> Samples:
    """Return windows of domain and general text in the order of training.

    Raises:
        BadRow: a line is not a JSON object with a text.
        NotEnoughData: a corpus fills no window.
    """
    return _unmasked(_draw_windows({"domain": domain, "general": general}, tokenizer, job, lambda _, ids: ids))


def corpus_names(domain: Path, general: Path, tokenizer: Path, job: Dapt, sequences: range) -> list[str]:
    """Return the lines of the corpora whose text is in some sequences of ``corpus_samples``, by drawing all again."""
    corpora = {"domain": domain, "general": general}
    lines = _draw_windows(corpora, tokenizer, job, lambda index, ids: [index + 1] * len(ids))
    from_general = blend(job.max_steps * job.global_batch_size, job.general_fraction)
    found = {(("domain", "general")[int(from_general[row])], line) for row in sequences for line in lines[row].tolist()}
    return [f"corpus/{corpus}/{corpora[corpus].name}:{line}" for corpus, line in sorted(found)]


def _draw_windows(corpora: Mapping[str, Path], tokenizer: Path, job: Dapt, ids_of: IdsOf) -> Ids:
    """Return the windows of all steps, of what ``ids_of`` returns for the index and the token ids of a document."""
    encoder = load_encoder(tokenizer)
    count = job.max_steps * job.global_batch_size
    from_general = blend(count, job.general_fraction)
    chosen = np.empty((count, job.seq_length + 1), dtype=np.int64)
    for corpus, indices in ((corpora["domain"], ~from_general), (corpora["general"], from_general)):
        wanted = int(indices.sum())
        if wanted:
            available = _corpus_windows(corpus, encoder, job, wanted, ids_of)
            chosen[indices] = available[endless_order(job.seed, len(available), wanted)]
    return chosen


def _corpus_windows(corpus: Path, encoder: Encoder, job: Dapt, wanted: int, ids_of: IdsOf) -> Ids:
    """Return windows of a corpus, from documents in a seeded order until there are twice as many as wanted."""
    texts = [row["text"] for row in read_jsonl(corpus, ("text",))]
    documents: list[list[int]] = []
    tokens = 0
    order = permutation(job.seed, 0, len(texts)).tolist()
    while order and tokens < 2 * wanted * job.seq_length:
        batch, order = order[:DOCUMENTS_PER_BATCH], order[DOCUMENTS_PER_BATCH:]
        encoded = encoder.encode_batch([beginning(texts[index], job.max_document_bytes) for index in batch])
        for index, ids in zip(batch, encoded, strict=True):
            documents.append(ids_of(index, [*encoder.bos_ids, *ids, encoder.eos]))
            tokens += len(documents[-1])
    cut = windows(documents, job.seq_length)
    if not len(cut):
        raise NotEnoughData(f"{corpus.parent.name} has fewer than {job.seq_length} tokens.", "Add text to the corpus.")
    return cut


def shard_samples(blend_file: Path, shards: Sequence[Path], job: Dapt) -> Samples:
    """Return windows of the components of a blend in the order of training.

    Only the windows that are used are read. A window lies in one shard and may contain several documents.

    Raises:
        NotEnoughData: a component fills no window.
        UnreadableFile: a file is not a data set of token ids.
    """
    chosen = np.empty((job.max_steps * job.global_batch_size, job.seq_length + 1), dtype=np.int64)
    for name, indices in _component_samples(blend_file, job).items():
        chosen[indices] = component_windows(name, shards, job, len(indices))
    return _unmasked(chosen)


def shard_names(blend_file: Path, shards: Sequence[Path], job: Dapt, sequences: range) -> list[str]:
    """Return component, shard and tokens of some sequences of ``shard_samples``."""
    names = {}
    for name, indices in _component_samples(blend_file, job).items():
        for index, (shard, start, _) in zip(
            indices.tolist(), _windows_of(name, shards, job, len(indices)), strict=True
        ):
            names[index] = f"{name} in shard {shard.name}, tokens {start} to {start + job.seq_length}"
    return [names[sequence] for sequence in sequences]


def _component_samples(blend_file: Path, job: Dapt) -> dict[str, NDArray[np.int64]]:
    """Return the samples of each component that has any."""
    components = orjson.loads(blend_file.read_bytes())["components"]
    fractions = {name: component["fraction"] for name, component in components.items()}
    assignment = assign_components(job.max_steps * job.global_batch_size, fractions)
    samples = {name: np.nonzero(assignment == number)[0] for number, name in enumerate(sorted(components))}
    return {name: indices for name, indices in samples.items() if len(indices)}


def assign_components(count: int, fractions: Mapping[str, float]) -> NDArray[np.int64]:
    """Return the component of each of ``count`` samples, as an index into the sorted names.

    Each sample comes from the component that is furthest below its fraction, so every prefix of the training has the
    fractions of the blend, within one sample per component.
    """
    ordered = np.array([fractions[name] for name in sorted(fractions)])
    taken = np.zeros(len(ordered))
    assignment = np.empty(count, dtype=np.int64)
    for index in range(count):
        assignment[index] = number = int(np.argmax(ordered * (index + 1) - taken))
        taken[number] += 1
    return assignment


def component_windows(component: str, shards: Sequence[Path], job: Dapt, wanted: int) -> Ids:
    """Return windows of a component, [wanted, seq_length + 1], drawn without replacement, epoch after epoch."""
    drawn = np.empty((wanted, job.seq_length + 1), dtype=np.int64)
    for index, (_, start, ids) in enumerate(_windows_of(component, shards, job, wanted)):
        drawn[index] = ids[start : start + job.seq_length + 1]
    return drawn


def _windows_of(component: str, shards: Sequence[Path], job: Dapt, wanted: int) -> Iterator[tuple[Path, int, Ids]]:
    """Yield shard, first token and all token ids of the shard for each window of a component."""
    files = [(shard, ids) for shard in shards if (ids := read_ids(shard / component)) is not None]
    counts = [max(0, (len(ids) - 1) // job.seq_length) for _, ids in files]
    ends = np.cumsum(counts)
    if not len(ends) or not ends[-1]:
        raise NotEnoughData(
            f"No shard has {job.seq_length + 1} tokens of the component {component}.",
            "Add text to it, lower pretraining.shards, or lower dapt.seq_length.",
        )
    order = endless_order(job.seed, int(ends[-1]), wanted)
    owners = np.searchsorted(ends, order, side="right")
    for window, owner in zip(order.tolist(), owners.tolist(), strict=True):
        shard, ids = files[owner]
        yield shard, (window - (int(ends[owner]) - counts[owner])) * job.seq_length, ids


def _unmasked(chosen: Ids) -> Samples:
    """Return samples of windows [n, s + 1] in which every token has a loss."""
    return Samples(chosen[:, :-1], chosen[:, 1:], np.ones((len(chosen), chosen.shape[1] - 1), dtype=np.uint8))
