"""Which artifacts the report on the data is about, by the whole configuration. No step imports this module."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from tapeout.config.inspection import InspectJob, Looking, ReportJob
from tapeout.config.instructions import SPLITS
from tapeout.config.root import Settings
from tapeout.config.yaml_files import InvalidConfig

CORPORA = ("corpus/domain", "corpus/general")
PRETRAINING, SHARDS = "pretraining", "pretraining/shards"
"""All shards as one set, and the step that cleans them."""


@dataclass(frozen=True)
class LookedAt:
    """Names of sets, test files and steps."""

    settings: Settings

    @property
    def instructions(self) -> list[str]:
        """Instruction data sets that may be trained on, sorted; benchmarks may not."""
        return sorted(set(self.settings.instructions.sets) - set(self.settings.data_report.benchmarks))

    @property
    def shards(self) -> list[str]:
        """Artifacts of the pretraining corpus."""
        settings = self.settings.pretraining
        return [f"pretraining/shards/{name}" for name in settings.shard_names] if settings.components else []

    @property
    def sets(self) -> list[str]:
        """Artifacts that are inspected."""
        return [*CORPORA, *(f"instructions/{name}" for name in self.instructions), *self.shards]

    @property
    def tests(self) -> list[tuple[str, str]]:
        """Artifact and file of every test set; a benchmark is one with all its sides."""
        own = [(name, "test.jsonl") for name in (*CORPORA, *(f"instructions/{name}" for name in self.instructions))]
        benchmarks = sorted(self.settings.data_report.benchmarks)
        return own + [(f"instructions/{name}", f"{split}.jsonl") for name in benchmarks for split in SPLITS]

    @property
    def steps(self) -> list[str]:
        """Artifacts with a report.json that counts what was left out."""
        pretraining = self.settings.pretraining
        sharded = [f"pretraining/documents/{name}" for name in pretraining.sources] + self.shards
        near = ["pretraining/near"] if self.shards and pretraining.near_duplicates else []
        rows = [f"{step}/{name}" for name in self.instructions for step in ("instructions", "encoded")]
        return [*CORPORA, *rows, *sharded, *near]

    @property
    def trained(self) -> list[str]:
        """Sets and steps of what a training reads."""
        rows = [f"{step}/{name}" for name in self.settings.instructions.train for step in ("instructions", "encoded")]
        if self.settings.dapt.reads != "pretraining":
            return [*CORPORA, *rows]
        documents = [f"pretraining/documents/{name}" for name in self.settings.pretraining.sources]
        near = ["pretraining/near"] if self.settings.pretraining.near_duplicates else []
        return [*CORPORA, *rows, PRETRAINING, SHARDS, *near, *documents]

    @property
    def judged(self) -> list[str]:
        """Names under which steps are held against ``dropped``: the shards are one."""
        return [*dict.fromkeys(SHARDS if step in self.shards else step for step in self.steps)]

    def checked(self) -> Self:
        """The same.

        Raises:
            InvalidConfig: a bound is for a set or step that is not there, and so would hold nothing.
        """
        gates = self.settings.data_report.gates
        tests = [name for name, _ in self.tests]
        for key, bounds, known in (
            ("contaminated_of", gates.contaminated_of, tests),
            ("dropped_of", gates.dropped_of, self.judged),
        ):
            for name in sorted(set(bounds) - set(known)):
                near = sorted(each for each in set(known) if each.endswith(f"/{name}"))
                near = near or difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {' or '.join(near)}?" if near else "."
                raise InvalidConfig(
                    f"config key data_report.gates.{key} names {name}, which is none of the sets{hint}",
                    f"Give it one of these names: {', '.join(sorted(set(known)))}.",
                )
        return self

    def inspection(self, name: str) -> InspectJob:
        """How one set is looked at."""
        looking = self.settings.data_report.model_dump(include=set(Looking.model_fields))
        sft = self.settings.sft
        tests = tuple(each for each, _ in self.tests)
        return InspectJob(**looking, name=name, tests=tests, template=sft.template, seq_length=sft.seq_length)

    def parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``inspected`` by name, each as a function of the rule's wildcards."""

        def parameter(name: str) -> Callable[[Any], Any]:
            return lambda wildcards: self.inspection(wildcards.set).identity()[name]

        return {name: parameter(name) for name in InspectJob.model_fields}

    @property
    def report(self) -> ReportJob:
        """What the report puts together."""
        return ReportJob(
            looking=self.settings.data_report,
            sets=tuple(self.sets),
            tests=tuple(name for name, _ in self.tests),
            steps=tuple(self.steps),
            trained=tuple(self.trained),
        )
