"""Estimates of what a configuration computes, reads and writes: parameters, FLOP, bytes and seconds.

docs/cost.md compares these numbers with published ones. No step imports this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tapeout.config.root import Settings
from tapeout.config.sources import downloads_folder, total
from tapeout.config.training import Training

CHECKPOINT_RATE = 200_000_000
"""Bytes per second at which checkpoints are read, converted and written: an assumption."""

TEXT_RATE = 20_000_000
"""Bytes per second of source text that a data step reads, filters and writes: an assumption."""

SHARDING_RATE = 50_000_000
"""Bytes per second of a large corpus that are read and sharded, on two cores (benchmarks/data_memory.md)."""

CLEANING_RATE = 10_000_000
"""Bytes per second of a shard that one process filters, scrubs and signs (benchmarks/data_memory.md)."""

TOKENIZING_RATE = 5_000_000
"""Bytes per second of a shard that one process tokenizes (benchmarks/data_memory.md)."""

COMPARING_RATE = 1_000_000_000
"""Bytes per second of a corpus whose signatures are compared, for documents of 20 kB (benchmarks/data_memory.md)."""

DOWNLOAD_RATE = 10_000_000
"""Bytes per second of downloads: an assumption."""


@dataclass(frozen=True)
class Estimates:
    """Estimates for one configuration."""

    settings: Settings

    @property
    def extended_pieces(self) -> int:
        """Rows of the adapted model's embedding."""
        pad_to = self.settings.base_extended.pad_to
        return -(-(self.settings.base.rows + self.settings.tokenizer.new_pieces) // pad_to) * pad_to

    @property
    def extended_parameters(self) -> int:
        """Weights of the adapted model."""
        return self.settings.base.architecture.parameter_count(self.extended_pieces)

    @property
    def base_gflop(self) -> int:
        """Computation of the base model's training, 10^9 FLOP."""
        base, model = self.settings.base, self.settings.base.architecture
        return _giga(model.training_flop(base.rows, base.trained_tokens, model.seq_length))

    @property
    def base_seconds(self) -> int:
        """Duration of making the base model, besides its training: reading and writing a foreign one."""
        return 5 + (2 * self.base_bytes // CHECKPOINT_RATE if self.settings.base.sources else 0)

    def training_gflop(self, job: Training) -> int:
        """Return the computation of a training run of the adapted model, 10^9 FLOP."""
        tokens = job.max_steps * job.global_batch_size * job.seq_length
        return _giga(self.settings.base.architecture.training_flop(self.extended_pieces, tokens, job.seq_length))

    def evaluation_gflop(self, task: str) -> int:
        """Return the computation of one task for one model, 10^9 FLOP: forward passes.

        Questions are as long as those of the training, ``sft.seq_length``, at most.
        """
        model = self.settings.base.architecture
        length = min(model.seq_length, self.settings.sft.seq_length)
        tokens = self.settings.evaluations[task].tokens(length)
        return _giga(model.forward_flop(self.extended_pieces, length) * tokens)

    def samples_gflop(self, task: str) -> int:
        """Return the computation of one part of the answers of one model to a task, in the same way."""
        return self.evaluation_gflop(task) // self.settings.evaluations[task].parts

    @property
    def base_bytes(self) -> int:
        """Size of a checkpoint of the base model."""
        model = self.settings.base.architecture
        return model.bytes_per_weight * model.parameter_count(self.settings.base.rows)

    @property
    def extended_bytes(self) -> int:
        """Size of the extended model, before it is trained."""
        return self.settings.base.architecture.bytes_per_weight * self.extended_parameters

    def trained_bytes(self, job: Training) -> int:
        """Return the size of a trained model, which has the numbers that the training computed with."""
        return (4 if job.precision == "32" else 2) * self.extended_parameters

    def copying_seconds(self, start: int) -> int:
        """Return the duration of reading and writing a checkpoint, plus ``start`` seconds that do not scale."""
        return start + 2 * self.extended_bytes // CHECKPOINT_RATE

    def preparing_seconds(self, names: Iterable[str]) -> int:
        """Return the duration of reading and writing the text of sources, plus one second."""
        return 1 + sum(self.source_bytes(name) or 0 for name in names) // TEXT_RATE

    @property
    def corpus_bytes(self) -> int:
        """Size of all sources of the sharded corpus whose records state a size."""
        return sum(self.source_bytes(name) or 0 for name in self.settings.pretraining.sources)

    @property
    def shard_bytes(self) -> int:
        """Size of a shard's text."""
        return self.corpus_bytes // self.settings.pretraining.shards

    def sharding_seconds(self, name: str) -> int:
        """Return the duration of sharding the documents of a source, plus two seconds."""
        return 2 + (self.source_bytes(name) or 0) // SHARDING_RATE

    @property
    def cleaning_seconds(self) -> int:
        """Duration of cleaning a shard, plus two seconds."""
        return 2 + self.shard_bytes // CLEANING_RATE

    @property
    def tokenizing_seconds(self) -> int:
        """Duration of tokenizing a shard, plus two seconds."""
        return 2 + self.shard_bytes // TOKENIZING_RATE

    @property
    def comparing_seconds(self) -> int:
        """Duration of finding near duplicates in all shards, plus two seconds."""
        return 2 + self.corpus_bytes // COMPARING_RATE

    def source_bytes(self, name: str) -> int | None:
        """Return the size of a source; that of its weights for a model, or None, if its record does not state it."""
        return self._known(self.settings.sources[name].total_bytes(), name)

    def set_bytes(self, name: str) -> int | None:
        """Return the size of the sources of an instruction data set; None if their records do not state it."""
        return total(self.source_bytes(source) for source in self.settings.set_sources(name))

    def download_bytes(self, name: str) -> int | None:
        """Return what is still to be downloaded of a source; see ``source_bytes``."""
        return self._known(self.settings.sources[name].missing_bytes(downloads_folder()), name)

    def _known(self, size: int | None, name: str) -> int | None:
        return self.base_bytes if size is None and name in self.settings.base.sources else size

    def download_seconds(self, name: str) -> int:
        """Return the duration of downloading a source, including a second for the request."""
        return 1 + (self.download_bytes(name) or 0) // DOWNLOAD_RATE


def _giga(flop: float) -> int:
    return max(1, round(flop / 1e9))
