"""What a configuration will compute, read and write: parameters, tokens, FLOP and bytes, before anything runs.

Rules give these numbers to the content layer as resources (``gflop``, ``typical_bytes``, ``download_bytes``); it turns
them into time (docs/cost.md says how far to trust them). They are no parameters: no step imports this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tapeout.config.root import Settings
from tapeout.config.sources import downloads_folder, total
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
class Estimates:
    """The numbers that rules give as resources, from the whole configuration."""

    settings: Settings

    @property
    def extended_pieces(self) -> int:
        """Vocabulary of the model that is adapted."""
        return BASE_PIECES + self.settings.tokenizer.new_pieces

    @property
    def extended_parameters(self) -> int:
        """Weights of the model that is adapted."""
        return self.settings.base.architecture.parameter_count(self.extended_pieces)

    @property
    def base_gflop(self) -> int:
        """Training the base model, in 10^9 FLOP."""
        job, model = self.settings.base, self.settings.base.architecture
        tokens = job.max_steps * job.global_batch_size * model.seq_length
        return _giga(model.training_flop(BASE_PIECES, tokens, model.seq_length))

    def training_gflop(self, job: Training) -> int:
        """A training of the extended model, in 10^9 FLOP."""
        tokens = job.max_steps * job.global_batch_size * job.seq_length
        return _giga(self.settings.base.architecture.training_flop(self.extended_pieces, tokens, job.seq_length))

    def evaluation_gflop(self, task: str) -> int:
        """Return the work of one task for one model, at most, in 10^9 FLOP: forward passes."""
        model = self.settings.base.architecture
        tokens = self.settings.evaluation.tokens(task, model.seq_length)
        return _giga(model.forward_flop(self.extended_pieces, model.seq_length) * tokens)

    @property
    def base_bytes(self) -> int:
        """A checkpoint of the base model."""
        return FLOAT * self.settings.base.architecture.parameter_count(BASE_PIECES)

    @property
    def extended_bytes(self) -> int:
        """A checkpoint of the extended model."""
        return FLOAT * self.extended_parameters

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
        """Return the size of a source; None if its record does not tell."""
        return self.settings.sources[name].total_bytes()

    def set_bytes(self, name: str) -> int | None:
        """Return the size of the sources of an instruction data set; None if their records do not tell."""
        return total(self.source_bytes(source) for source in self.settings.set_sources(name))

    def download_bytes(self, name: str) -> int | None:
        """Return what is still to be downloaded of a source; None if its record does not tell."""
        return self.settings.sources[name].missing_bytes(downloads_folder())

    def download_seconds(self, name: str) -> int:
        """Return the duration of downloading a source, including a second for the request."""
        return 1 + (self.download_bytes(name) or 0) // DOWNLOADING


def _giga(flop: float) -> int:
    return max(1, round(flop / 1e9))
