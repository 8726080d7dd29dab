"""What a configuration will compute, read and write: parameters, tokens, FLOP and bytes, before anything runs.

Rules give these numbers to the content layer as resources (``gflop``, ``typical_bytes``, ``download_bytes``); it turns
them into time (docs/cost.md says how far to trust them). They are no parameters: no step imports this module.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.base import Base
from tapeout.config.folder import UnusableFolder, listing
from tapeout.config.root import Settings
from tapeout.config.sources import FileSource, FolderSource, HubSource, Source
from tapeout.config.training import Training

BASE_PIECES = 32_000
"""Vocabulary before the extension: Llama 2's, and Mistral's first. Known only when the tokenizer's file is there."""

FLOAT = 4
"""Bytes of a weight in every checkpoint of the graph (32-bit floats)."""

COPYING = 200_000_000
"""Bytes a second at which checkpoints are read, converted and written: an assumption."""

PREPARING = 20_000_000
"""Bytes of source text a second that a data step reads, filters and writes: an assumption."""

READING = 50_000_000
"""Bytes of a large corpus a second that are read and put into shards, on two cores (benchmarks/data_memory.md)."""

CLEANING = 10_000_000
"""Bytes a second of a shard that are judged, scrubbed and signed, by one process (the same)."""

TOKENIZING = 5_000_000
"""Bytes a second of a shard that become ids, by one process (the same)."""

COMPARING = 1_000_000_000
"""Bytes a second of a corpus of which the signatures are compared: documents of 20 kB (the same)."""

DOWNLOADING = 10_000_000
"""Bytes a second: an assumption."""


@dataclass(frozen=True)
class Llama:
    """The dimensions of a Llama without biases."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    feed_forward: int
    vocabulary: int

    @classmethod
    def of(cls, base: Base, vocabulary: int) -> "Llama":
        """The model of the configuration's section ``base``."""
        return cls(base.hidden, base.layers, base.heads, base.key_value_heads, base.feed_forward, vocabulary)

    @property
    def embedding(self) -> int:
        """Weights of the input embedding; the output layer has as many."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights, with separate input and output rows."""
        narrow = self.hidden * self.key_value_heads // self.heads
        attention = 2 * self.hidden * (self.hidden + narrow)
        block = attention + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return 2 * self.embedding + self.layers * block + self.hidden

    def forward(self, sequence: int) -> int:
        """FLOP of a forward pass, a token: two a weight that multiplies, and attention over ``sequence`` tokens.

        An embedding is looked up, not multiplied. Attention counts as if every token saw the whole sequence, as it does
        in published utilisations (PaLM, arXiv 2204.02311, appendix B; Megatron-core).
        """
        return 2 * (self.parameters - self.embedding) + 4 * self.layers * self.hidden * sequence

    def training(self, tokens: int, sequence: int) -> int:
        """FLOP of training on ``tokens`` tokens: backward costs twice what forward does, so 6 a weight and token."""
        return 3 * self.forward(sequence) * tokens


def state_bytes(parameters: int, tensor: int = 1, pipeline: int = 1, data: int = 1) -> float:
    """Bytes that weights, gradients and optimiser states take on each GPU; activations come on top.

    Megatron-core with bfloat16 weights (2 bytes), 32-bit gradients (4), and Adam's 32-bit copy and two moments (12)
    shared out over the data-parallel ranks by the distributed optimiser.

    Args:
        parameters: weights of the model.
        tensor: GPUs that share each matrix.
        pipeline: groups that share the layers.
        data: replicas.
    """
    return parameters / (tensor * pipeline) * (6 + 12 / data)


def downloads_folder() -> Path:
    """Where finished and unfinished downloads lie, as ``tapeout.sources.download`` has it.

    Said twice (a test compares them): that module is part of the identity of every download, and takes a tenth of a
    second to import, which every run would pay.
    """
    given = os.environ.get("TAPEOUT_DOWNLOADS")
    return Path(given) if given else Path.home() / ".cache" / "tapeout" / "downloads"


@dataclass(frozen=True)
class Estimates:
    """The numbers that rules give as resources, from the whole configuration."""

    settings: Settings

    @property
    def base(self) -> Llama:
        """The model before its vocabulary is extended."""
        return Llama.of(self.settings.base, BASE_PIECES)

    @property
    def extended(self) -> Llama:
        """The model that is adapted."""
        return Llama.of(self.settings.base, BASE_PIECES + self.settings.tokenizer.new_pieces)

    @property
    def base_gflop(self) -> int:
        """Training the base model, in 10^9 FLOP."""
        job = self.settings.base
        return _giga(self.base.training(job.steps * job.batch * job.sequence, job.sequence))

    def training_gflop(self, job: Training) -> int:
        """A training of the extended model, in 10^9 FLOP."""
        tokens = job.steps * job.global_batch * job.seq_length
        return _giga(self.extended.training(tokens, job.seq_length))

    def evaluation_gflop(self, task: str) -> int:
        """Return the work of one task for one model, at most, in 10^9 FLOP: forward passes."""
        context = self.settings.base.sequence
        return _giga(self.extended.forward(context) * self.settings.evaluation.tokens(task, context))

    @property
    def base_bytes(self) -> int:
        """A checkpoint of the base model."""
        return FLOAT * self.base.parameters

    @property
    def extended_bytes(self) -> int:
        """A checkpoint of the extended model."""
        return FLOAT * self.extended.parameters

    def copying_seconds(self, start: int) -> int:
        """Reading and writing a checkpoint, and ``start`` seconds that do not depend on its size."""
        return start + 2 * self.extended_bytes // COPYING

    def preparing_seconds(self, names: Iterable[str]) -> int:
        """Reading and writing the text of these sources, and a second besides."""
        return 1 + sum(self.source_bytes(name) or 0 for name in names) // PREPARING

    @property
    def corpus_bytes(self) -> int:
        """All sources of the sharded corpus, as far as their records tell."""
        return sum(self.source_bytes(name) or 0 for name in self.settings.pretraining.sources)

    def reading_seconds(self, name: str) -> int:
        """Putting the documents of a source into shards, and two seconds besides."""
        return 2 + (self.source_bytes(name) or 0) // READING

    @property
    def shard_bytes(self) -> int:
        """Text of a shard."""
        return self.corpus_bytes // self.settings.pretraining.shards

    @property
    def cleaning_seconds(self) -> int:
        """Cleaning a shard, and two seconds besides."""
        return 2 + self.shard_bytes // CLEANING

    @property
    def tokenizing_seconds(self) -> int:
        """Tokenizing a shard, and two seconds besides."""
        return 2 + self.shard_bytes // TOKENIZING

    @property
    def comparing_seconds(self) -> int:
        """Finding near duplicates in all shards, and two seconds besides."""
        return 2 + self.corpus_bytes // COMPARING

    def source_bytes(self, name: str) -> int | None:
        """Size of a source; None where its record does not tell."""
        source = self.settings.sources[name]
        if isinstance(source, FileSource):
            return Path(source.path).stat().st_size if Path(source.path).is_file() else None
        if isinstance(source, FolderSource):
            with contextlib.suppress(UnusableFolder):  # the step says so
                return sum(path.stat().st_size for path in listing(source).values())
            return None
        return _sum([size for _, size in _files(source)])

    def set_bytes(self, name: str) -> int | None:
        """Size of the sources of an instruction data set; None where their records do not tell."""
        return _sum([self.source_bytes(source) for source in self.settings.set_sources(name)])

    def download_bytes(self, name: str) -> int | None:
        """What is still to be downloaded of a source; None where its record does not tell.

        A file that was downloaded before lies under its SHA-256, an unfinished one beside it, with ``.part``.
        """
        source, folder = self.settings.sources[name], downloads_folder()
        if source.kind in {"file", "folder"} or (source.kind == "url" and source.url.startswith("file:")):
            return 0
        files = _files(source)
        missing = [(sha256, size) for sha256, size in files if sha256 is None or not (folder / sha256).exists()]
        return _sum([_rest(folder / f"{sha256}.part", size) for sha256, size in missing])

    def download_seconds(self, name: str) -> int:
        """Downloading a source, and a second besides."""
        return 1 + (self.download_bytes(name) or 0) // DOWNLOADING


def _giga(flop: float) -> int:
    return max(1, round(flop / 1e9))


def _files(source: Source) -> list[tuple[str | None, int | None]]:
    """SHA-256 and size of each file that a source is downloaded as, as far as its record tells them."""
    if isinstance(source, FileSource | FolderSource):
        return []
    return [(file.sha256, file.size) for file in (source.files if isinstance(source, HubSource) else [source])]


def _rest(part: Path, size: int | None) -> int | None:
    return None if size is None else max(0, size - (part.stat().st_size if part.exists() else 0))


def _sum(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
