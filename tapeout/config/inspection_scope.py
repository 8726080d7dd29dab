"""Scope of the data report: sets, test sets and steps, from the whole configuration. No step imports this module."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tapeout.config.inspection import DataReportJob, InspectJob, OverlapSettings
from tapeout.config.instructions import SPLITS
from tapeout.config.root import Settings
from tapeout.errors import did_you_mean

CORPORA = ("corpus/domain", "corpus/general")
PRETRAINING, SHARDS = "pretraining", "pretraining/shards"
"""All shards as one set, and the step that cleans them."""


class HeldOutFile(NamedTuple):
    """File of rows that must not be trained on.

    Attributes:
        set: name of the test set that the rows belong to.
        artifact: artifact with the file.
        path: path in the artifact.
    """

    set: str
    artifact: str
    path: str


@dataclass(frozen=True)
class InspectionScope:
    """Scope of the data report."""

    settings: Settings

    @property
    def instructions(self) -> list[str]:
        """Instruction data sets that may be trained on, sorted; benchmarks may not."""
        return sorted(set(self.settings.instructions.sets) - set(self.settings.data_report.benchmarks))

    @property
    def shards(self) -> list[str]:
        """Artifacts of the pretraining corpus."""
        settings = self.settings.pretraining
        return [f"{SHARDS}/{name}" for name in settings.shard_names] if settings.components else []

    @property
    def sets(self) -> list[str]:
        """Artifacts that are inspected."""
        return [*CORPORA, *(f"instructions/{name}" for name in self.instructions), *self.shards]

    @property
    def tests(self) -> list[HeldOutFile]:
        """Files of every test set; all splits of a benchmark are test data."""
        own = [*CORPORA, *(f"instructions/{name}" for name in self.instructions)]
        benchmarks = [f"instructions/{name}" for name in sorted(self.settings.data_report.benchmarks)]
        files = [HeldOutFile(name, name, "test.jsonl") for name in own]
        return files + [HeldOutFile(name, name, f"{split}.jsonl") for name in benchmarks for split in SPLITS]

    @property
    def validations(self) -> list[HeldOutFile]:
        """Validation rows of each set, if the fine-tuning trains on several; its validation loss is measured on all."""
        trained = [f"instructions/{name}" for name in sorted(self.settings.instructions.train)]
        files = [HeldOutFile(f"{name}/validation", name, "validation.jsonl") for name in trained]
        return files if len(files) > 1 else []

    @property
    def held_out(self) -> list[HeldOutFile]:
        """All files of rows that some set must not contain."""
        return self.tests + self.validations

    def held_out_from(self, name: str) -> list[HeldOutFile]:
        """Return the files whose rows must not be in the training split of a set.

        A split keeps the validation rows of a set apart from its own training rows, but not from those of other sets.
        """
        others = [file for file in self.validations if file.artifact != name]
        return self.tests + (others if len(others) < len(self.validations) else [])

    @property
    def steps(self) -> list[str]:
        """Artifacts with a report.json that counts what was dropped."""
        pretraining = self.settings.pretraining
        sharded = [f"pretraining/documents/{name}" for name in pretraining.sources] + self.shards
        near = ["pretraining/near"] if self.shards and pretraining.near_duplicates else []
        rows = [f"{step}/{name}" for name in self.instructions for step in ("instructions", "encoded")]
        return [*CORPORA, *rows, *sharded, *near]

    @property
    def trained(self) -> list[str]:
        """Sets and steps of all data that a training run reads."""
        rows = [f"{step}/{name}" for name in self.settings.instructions.train for step in ("instructions", "encoded")]
        if self.settings.dapt.reads != "pretraining":
            return [*CORPORA, *rows]
        documents = [f"pretraining/documents/{name}" for name in self.settings.pretraining.sources]
        near = ["pretraining/near"] if self.settings.pretraining.near_duplicates else []
        return [*CORPORA, *rows, PRETRAINING, SHARDS, *near, *documents]

    @property
    def measured_steps(self) -> list[str]:
        """Names under which steps have a gate ``dropped``: all shards are one step."""
        return [*dict.fromkeys(SHARDS if step in self.shards else step for step in self.steps)]

    def unknown_limits(self) -> Iterator[tuple[str, str, str]]:
        """Yield key, cause and fix of each limit for a set or step that does not exist; it would have no effect."""
        gates = self.settings.data_report.gates
        tests = list(dict.fromkeys(file.set for file in self.held_out))
        for key, limits, known in (
            ("contaminated_of", gates.contaminated_of, tests),
            ("dropped_of", gates.dropped_of, self.measured_steps),
        ):
            for name in sorted(set(limits) - set(known)):
                near = sorted(candidate for candidate in set(known) if candidate.endswith(f"/{name}"))
                hint = f"; did you mean {' or '.join(near)}?" if near else did_you_mean(name, known)
                cause = f"data_report.gates.{key} names {name}, which is not one of the sets{hint}"
                yield key, cause, f"Use one of these names: {', '.join(sorted(set(known)))}."

    def inspect_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Return the parameters of the rule ``inspected`` by name, as functions of its wildcards."""
        overlap = self.settings.data_report.model_dump(include=set(OverlapSettings.model_fields))

        def job(wildcards: Any) -> InspectJob:
            tests = tuple(file.set for file in self.held_out_from(wildcards.set))
            return InspectJob(**overlap, name=wildcards.set, tests=tests)

        return InspectJob.parameters(job)

    @property
    def report(self) -> DataReportJob:
        """Parameters of the rule ``data_report``."""
        return DataReportJob(
            settings=self.settings.data_report,
            sets=tuple(self.sets),
            tests=tuple(file.set for file in self.held_out),
            steps=tuple(self.steps),
            trained=tuple(self.trained),
        )
