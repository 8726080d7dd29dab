"""Samples of continued pretraining: windows of token files, blended in the fractions of their components.

The token files are the shards of a tokenized corpus, or are written once from two JSONL corpora.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from tapeout.config.dapt import Dapt
from tapeout.data.encode.packing import EndlessOrder, blend, permutation
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.indexed_lines import IndexedLines
from tapeout.data.io.text import beginning
from tapeout.data.shards.token_files import IndexedWriter, id_type, read_ids, read_lengths
from tapeout.encoder.load import load_encoder
from tapeout.train.samples import Sample, Samples, SetUse, Span

DOCUMENTS_PER_BATCH = 64
CORPORA = ("domain", "general")


@dataclass(frozen=True)
class TokenFile:
    """Token ids of many documents, one after the other.

    Attributes:
        prefix: path of the data set without its ending.
        ids: all ids, a memory map.
        name: returns the name of a document from its index.
    """

    prefix: Path
    ids: NDArray[np.generic]
    name: Callable[[int], str]

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Index of the token after each document."""
        return np.cumsum(read_lengths(self.prefix), dtype=np.int64)

    def documents(self, start: int, end: int) -> list[Span]:
        """Return the documents in some tokens, with positions counted from ``start``."""
        first, last = np.searchsorted(self.ends, [start, end - 1], side="right").tolist()
        cuts = [start, *self.ends[first:last].tolist(), end]
        return [Span(self.name(first + n), a - start, b - start) for n, (a, b) in enumerate(pairwise(cuts))]


class Component:
    """Windows of some token files, drawn without replacement, epoch after epoch.

    A window has ``seq_length + 1`` ids of one file, and may contain several documents. Windows overlap by one id, so
    that every id but the first of a file is the target of one window. The order of one epoch is in memory.
    """

    def __init__(self, files: Sequence[TokenFile], seed: int, seq_length: int) -> None:
        """Count the windows of the files, at least one of which must have one."""
        self.files, self.seq_length = files, seq_length
        self.counts = [max(0, (len(file.ids) - 1) // seq_length) for file in files]
        self.last = np.cumsum(self.counts)
        self.order = EndlessOrder(seed, int(self.last[-1]))

    def window(self, number: int) -> tuple[TokenFile, int]:
        """Return the file and the first token of a window, from its number in the order of training."""
        window = self.order[number]
        owner = int(np.searchsorted(self.last, window, side="right"))
        return self.files[owner], (window - int(self.last[owner]) + self.counts[owner]) * self.seq_length

    def ids(self, number: int) -> NDArray[np.int64]:
        """Return the ids of a window, [seq_length + 1]."""
        file, start = self.window(number)
        return file.ids[start : start + self.seq_length + 1].astype(np.int64)


class TextSamples(Samples):
    """Windows of the components of a blend, in which every token has a loss."""

    def __init__(self, components: Mapping[str, Component | None], fractions: Sequence[float], job: Dapt) -> None:
        """Blend components, by name, in their fractions; those from which nothing is drawn are None."""
        self.names, self.components, self.fractions = list(components), list(components.values()), fractions
        self.count = job.max_steps * job.global_batch_size
        self.mask = np.ones(job.seq_length, dtype=np.uint8)

    def __len__(self) -> int:
        """Return the number of sequences of all steps."""
        return self.count

    def turn(self, index: int) -> tuple[Component, int]:
        """Return the component of a sequence and the number of its window among those of this component."""
        before, after = blend(self.fractions, index), blend(self.fractions, index + 1)
        number = next(n for n, (a, b) in enumerate(zip(before, after, strict=True)) if b > a)
        component = self.components[number]
        assert component is not None
        return component, before[number]

    def __getitem__(self, index: int) -> Sample:
        """Return a window."""
        component, number = self.turn(index)
        ids = component.ids(number)
        return Sample(ids[:-1], ids[1:], self.mask)

    def sources(self, index: int) -> list[Span]:
        """Return the documents of the inputs of a window."""
        component, number = self.turn(index)
        file, start = component.window(number)
        return file.documents(start, start + component.seq_length)

    def uses(self) -> list[SetUse]:
        """Return the components that are drawn from; every token has a loss."""
        found = []
        for name, component, drawn in zip(self.names, self.components, blend(self.fractions, self.count), strict=True):
            if component is not None:
                tokens = sum(len(file.ids) for file in component.files)
                found.append(SetUse(name, tokens, tokens, drawn / component.order.count))
        return found

    def targets(self) -> Iterator[NDArray[np.integer]]:
        """Yield the labels of the windows of each component, of one epoch at most."""
        for component, drawn in zip(self.components, blend(self.fractions, self.count), strict=True):
            if component is not None:
                yield from (component.ids(number)[1:] for number in range(min(drawn, component.order.count)))


def corpus_samples(folder: Path, corpora: Mapping[str, Path], job: Dapt) -> TextSamples:
    """Return windows of domain and general text.

    Args:
        folder: what ``write_corpora`` wrote.
        corpora: the JSONL files that it was written from.
        job: parameters of the training.

    Raises:
        NotEnoughData: a corpus fills no window.
    """
    components: dict[str, Component | None] = {}
    for corpus, drawn in zip(CORPORA, _drawn(job), strict=True):
        file = _corpus_file(folder / corpus, f"corpus/{corpus}/{corpora[corpus].name}") if drawn else None
        if file is not None and len(file.ids) <= job.seq_length:
            raise NotEnoughData(
                f"{corpora[corpus].parent.name} has fewer than {job.seq_length} tokens.", "Add text to the corpus."
            )
        components[corpus] = Component([file], job.seed, job.seq_length) if file is not None else None
    return TextSamples(components, _fractions(job), job)


def write_corpora(corpora: Mapping[str, Path], tokenizer: Path, job: Dapt, folder: Path) -> None:
    """Write a token file of each corpus that is drawn from, and the lines of its documents, to a new folder.

    The documents come in a seeded order, until there are twice as many tokens as the training needs.

    Raises:
        BadRow: a line is not a JSON object with a text.
    """
    encoder = load_encoder(tokenizer)
    folder.mkdir(parents=True)
    for corpus, drawn in zip(CORPORA, _drawn(job), strict=True):
        if not drawn:
            continue
        lines = IndexedLines(corpora[corpus], ("text",))
        order = permutation(job.seed, 0, len(lines))
        dtype, tokens, used = id_type(encoder.size), 0, 0
        with IndexedWriter(folder / corpus, dtype) as writer:
            while used < len(order) and tokens < 2 * drawn * job.seq_length:
                rows = lines.read(order[used : used + DOCUMENTS_PER_BATCH].tolist())
                for ids in encoder.encode_batch([beginning(row["text"], job.max_document_bytes) for row in rows]):
                    document = np.array([*encoder.bos_ids, *ids, encoder.eos], dtype=dtype)
                    writer.write(document.tobytes(), [len(document)])
                    tokens, used = tokens + len(document), used + 1
        np.save(folder / f"{corpus}.npy", order[:used] + 1)


def _corpus_file(prefix: Path, name: str) -> TokenFile:
    ids, lines = read_ids(prefix), prefix.with_name(f"{prefix.name}.npy")
    assert ids is not None
    return TokenFile(prefix, ids, lambda document: f"{name}:{np.load(lines, mmap_mode='r')[document]}")


def _fractions(job: Dapt) -> list[float]:
    return [1 - job.general_fraction, job.general_fraction]


def _drawn(job: Dapt) -> list[int]:
    """Return the number of sequences that come from each corpus."""
    return blend(_fractions(job), job.max_steps * job.global_batch_size)


def shard_samples(blend_file: Path, shards: Sequence[Path], job: Dapt) -> TextSamples:
    """Return windows of the components of a tokenized corpus.

    Raises:
        NotEnoughData: a component that is drawn from fills no window.
        UnreadableFile: a file is not a data set of token ids.
    """
    content = orjson.loads(blend_file.read_bytes())["components"]
    names = sorted(content)
    fractions = [content[name]["fraction"] for name in names]
    drawn = blend(fractions, job.max_steps * job.global_batch_size)
    components = {
        name: shard_component(name, shards, job) if count else None for name, count in zip(names, drawn, strict=True)
    }
    return TextSamples(components, fractions, job)


def shard_component(component: str, shards: Sequence[Path], job: Dapt) -> Component:
    """Return the windows of a component in some shards, of which not every one has it.

    Raises:
        NotEnoughData: no shard fills a window.
        UnreadableFile: a file is not a data set of token ids.
    """
    files = [
        TokenFile(shard / component, ids, _shard_name(component, shard))
        for shard in shards
        if (ids := read_ids(shard / component)) is not None
    ]
    if all(len(file.ids) <= job.seq_length for file in files):
        raise NotEnoughData(
            f"No shard has {job.seq_length + 1} tokens of the component {component}.",
            "Add text to it, lower pretraining.shards, or lower dapt.seq_length.",
        )
    return Component(files, job.seed, job.seq_length)


def _shard_name(component: str, shard: Path) -> Callable[[int], str]:
    return lambda document: f"{component} in shard {shard.name}, document {document + 1}"
