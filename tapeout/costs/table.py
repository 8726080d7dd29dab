"""Cost hints by rule name.

The layer asks this table instead of the rules (docs/cost.md), so that a rule states only what it runs. Hints are
resources and never part of an identity. A rule without an entry may state the same names among its resources.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tapeout.combinations import split_rule
from tapeout.config.base import Architecture
from tapeout.config.root import Settings
from tapeout.config.training import Training
from tapeout.costs.advice import advice
from tapeout.costs.estimates import Estimates
from tapeout.costs.memory import Memory, training_memory

Wildcards = Mapping[str, str]
Hints = dict[str, int | str | None]


def hints(
    seconds: int,
    size: int | None,
    *,
    gflop: int | None = None,
    parameters: int | None = None,
) -> Hints:
    """Return the hints of one step.

    Args:
        seconds: typical duration; with ``gflop``, the part that does not grow with the amount of computation.
        size: bytes that the step stores; None if unknown.
        gflop: 10^9 FLOP that the step computes.
        parameters: model weights that the step converts.
    """
    work = {"gflop": gflop, "parameters": parameters}
    return {
        "typical_seconds": seconds,
        "typical_bytes": size,
        **{name: value for name, value in work.items() if value is not None},
    }


def _training(work: Estimates, job: Training) -> Hints:
    """Return the hints of a training run; the size of an adapter is not known before."""
    found = hints(15, None if job.ADAPTER else work.trained_bytes(job), gflop=work.training_gflop(job))
    return {**found, "gpu_model": job.layout.gpu_model} if job.layout.gpu_model else found


BASE = "base"
"""Entry of the rule of each kind of base model, such as ``base_tiny``."""

TABLE: dict[str, Callable[[Estimates, Wildcards], Hints]] = {
    "fetch": lambda work, wildcards: {
        **hints(work.download_seconds(wildcards["source"]), work.source_bytes(wildcards["source"])),
        "download_bytes": work.download_bytes(wildcards["source"]),
    },
    "corpus_domain": lambda work, _: hints(work.preparing_seconds(work.settings.corpus.domain.sources), 12_700_000),
    "corpus_general": lambda work, _: hints(work.preparing_seconds(work.settings.corpus.general.sources), 6_500_000),
    "instructions": lambda work, wildcards: hints(
        work.preparing_seconds(work.settings.set_sources(wildcards["name"])), work.set_bytes(wildcards["name"])
    ),
    "encoded": lambda work, wildcards: hints(
        2 * work.preparing_seconds(work.settings.set_sources(wildcards["name"])), work.set_bytes(wildcards["name"])
    ),
    "inspected": lambda work, _: hints(5, 500_000),
    "data_report": lambda work, _: hints(2, 500_000),
    "gates": lambda work, _: hints(1, 100),
    "tokenizer": lambda work, _: hints(15, 1_100_000),
    "tokenizer_panel": lambda work, _: hints(10, 200_000),
    BASE: lambda work, _: hints(work.base_seconds, work.base_bytes, gflop=work.base_gflop),
    "base_extended": lambda work, _: hints(
        work.copying_seconds(10), work.extended_bytes, parameters=work.extended_parameters
    ),
    "merged": lambda work, _: hints(work.copying_seconds(10), work.extended_bytes, parameters=work.extended_parameters),
    "probe": lambda work, _: hints(20, 2_000),
    "nemo_base": lambda work, _: hints(
        work.copying_seconds(20), work.extended_bytes, parameters=work.extended_parameters
    ),
    "dapt": lambda work, _: _training(work, work.settings.dapt),
    "sft": lambda work, _: _training(work, work.settings.sft),
    "export_hf": lambda work, _: hints(
        work.copying_seconds(15), work.trained_bytes(work.settings.sft), parameters=work.extended_parameters
    ),
    "export_nemo": lambda work, _: hints(
        work.copying_seconds(25), work.trained_bytes(work.settings.sft), parameters=work.extended_parameters
    ),
    "export_adapter": lambda work, _: hints(
        work.copying_seconds(20), work.extended_bytes // 50, parameters=work.extended_parameters
    ),
    "deploy_nim": lambda work, _: hints(work.copying_seconds(10), 40_000),
    "export_gguf": lambda work, _: hints(
        work.copying_seconds(20), work.trained_bytes(work.settings.sft), parameters=work.extended_parameters
    ),
    "certificate": lambda work, _: hints(work.copying_seconds(30), 5_000),
    "serve_check": lambda work, _: hints(work.copying_seconds(40), 1_000),
    "evaluate": lambda work, wildcards: hints(8, 100_000, gflop=work.evaluation_gflop(wildcards["task"])),
    "evaluate_apart": lambda work, wildcards: hints(25, 200_000, gflop=work.evaluation_gflop(wildcards["task"])),
    "contamination": lambda work, _: hints(5, 100_000),
    "problems": lambda work, _: hints(2, 800_000),
    "checked": lambda work, _: hints(60, 10_000),
    "samples": lambda work, wildcards: hints(10, 100_000, gflop=work.samples_gflop(wildcards["task"])),
    "judge": lambda work, _: hints(30, 200_000),
    "eval_report": lambda work, _: hints(5, 230_000),
    "eval_gates": lambda work, _: hints(1, 1_000),
    "sweep": lambda work, _: hints(5, 230_000),
    "retrieval_passages": lambda work, _: hints(5, 20_000_000),
    "retrieval_questions": lambda work, _: hints(5, 1_000_000),
    "retrieval_bm25": lambda work, _: hints(10, 20_000_000),
    "retrieval_embedder": lambda work, _: hints(5, 92_000_000),
    "retrieval_dense": lambda work, _: hints(240, 110_000_000),
    "retrieval_tuning": lambda work, _: hints(300, 92_000_000),
    "retrieval_recall": lambda work, _: hints(20, 100_000),
    "pretraining_documents": lambda work, wildcards: hints(
        work.sharding_seconds(wildcards["source"]), work.source_bytes(wildcards["source"])
    ),
    "pretraining_shard": lambda work, _: hints(work.cleaning_seconds, work.shard_bytes),
    "pretraining_near": lambda work, _: hints(work.comparing_seconds, 5000 * work.settings.pretraining.shards),
    "pretraining_tokens": lambda work, _: hints(work.tokenizing_seconds, work.shard_bytes),
    "pretraining_blend": lambda work, _: hints(2, 300 * work.settings.pretraining.shards),
}


@dataclass(frozen=True)
class CostTable:
    """The table for one configuration."""

    settings: Settings

    def __call__(self, rule: str, wildcards: Wildcards) -> Hints:
        """Return the hints of a rule for the values of its wildcards; none for an unknown rule."""
        name = BASE if rule == self.settings.base.rule else rule
        estimates, method = Estimates(self.settings), self.settings.methods.get(rule)
        if method is not None:
            return _training(estimates, method)
        return TABLE[name](estimates, wildcards) if name in TABLE else {}

    def seconds(self, rule: str) -> int:
        """Return the typical seconds of a rule without wildcards."""
        seconds = self(rule, {})["typical_seconds"]
        assert isinstance(seconds, int), "every entry has them"
        return seconds

    def memory(self, rule: str) -> Memory | None:
        """Return the memory of a rule's training on each GPU; None if it trains no whole model there."""
        run = self._training(rule)
        return training_memory(self._architecture, self._rows, run) if run is not None and not run.ADAPTER else None

    def advice(self, rule: str, limit: float) -> str:
        """Return what to change in a rule's training that needs more than ``limit`` bytes on each GPU."""
        run = self._training(rule)
        assert run is not None, "it has a memory"
        return advice(self._architecture, self._rows, run, limit=limit, section=rule)

    def _training(self, rule: str) -> Training | None:
        """Return the parameters of a training; None for any other rule."""
        return {"dapt": self.settings.dapt, "sft": self.settings.sft, **self.settings.methods}.get(rule)

    @property
    def _architecture(self) -> Architecture:
        return self.settings.base.architecture

    @property
    def _rows(self) -> int:
        return Estimates(self.settings).extended_pieces


class CostTables:
    """The tables of a configuration and of all combinations of its sweep, by which rules are distinguished.

    An instance is the ``costs`` argument of ``tapeout.graph.layer.Layer``.
    """

    def __init__(self, settings: Settings, combinations: Mapping[str, Settings]) -> None:
        self.tables = {name: CostTable(varied) for name, varied in {"": settings, **combinations}.items()}

    def of(self, combination: str) -> CostTable:
        """Return the table of a combination; the empty one is the configuration itself."""
        return self.tables[combination]

    def seconds(self, rule: str) -> int:
        """Return the typical seconds of a rule of the configuration itself, see ``CostTable.seconds``."""
        return self.of("").seconds(rule)

    def __call__(self, rule: str, wildcards: Wildcards) -> Hints:
        """Return the hints of a rule; see ``CostTable``."""
        name, combination = split_rule(rule)
        return self.of(combination)(name, wildcards)

    def memory(self, rule: str) -> Memory | None:
        """Return the memory of a rule's training on each GPU; see ``CostTable.memory``."""
        name, combination = split_rule(rule)
        return self.of(combination).memory(name)

    def advice(self, rule: str, limit: float) -> str:
        """Return what to change in a rule's training; see ``CostTable.advice``."""
        name, combination = split_rule(rule)
        return self.of(combination).advice(name, limit)
