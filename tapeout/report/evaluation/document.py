"""Form of ``report.json``. ``make schema`` writes its JSON schema, ``docs/eval_report.schema.json``, from this module.

The number in ``SCHEMA`` changes when a field is removed, renamed or changes its meaning. A new field keeps it.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tapeout.config.report import PlannedTraining, ReportSettings, RunFacts
from tapeout.evals.section import Difference, Interval, Kind, Value, Verdict
from tapeout.evals.task import ModelFacts
from tapeout.report.evaluation.attempts import ExampleGroup
from tapeout.report.evaluation.changes import Change
from tapeout.report.evaluation.contamination import Match
from tapeout.report.evaluation.findings import Findings
from tapeout.report.evaluation.gates import GateResult
from tapeout.report.evaluation.inputs import Origin, TrainLog
from tapeout.report.evaluation.recall import RecallReport
from tapeout.report.evaluation.serving import Serving
from tapeout.report.evaluation.tokenizer import TokenizerSection

SCHEMA: Literal["tapeout.eval-report/1"] = "tapeout.eval-report/1"

Digests = dict[str, str]
"""SHA-256 of each artifact that a number is computed from, by the artifact's name."""


class Part(BaseModel):
    """Base class of the parts: the report has no other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Summary(Part):
    """Answers of the report in sentences."""

    headline: str
    answer: str
    verdicts: list[Verdict]


class EvaluatedModel(ModelFacts):
    """A model of the report and its size."""

    artifact: str
    exported: bool


class Subject(Part):
    """Evaluated models, the sources of the training and test text, and the digest of the report's action."""

    trained_on: list[str]
    held_out: list[str]
    general: list[str]
    models: dict[str, EvaluatedModel]
    action: str


class ModelValue(Part):
    """Value of a measure for one model, with its interval and the kind of it (``method.intervals``)."""

    value: float
    low: float
    high: float
    interval: Interval
    computed_from: Digests


class CleanMeasure(Part):
    """A measure without the units that the training text contains.

    ``searched`` units were searched for, ``share`` of them are ``contaminated``; null if none was searched for. There
    are no values if all are contaminated.
    """

    searched: int
    contaminated: int
    share: float | None
    models: dict[str, Value]


class ContaminatedUnit(Part):
    """Digest of a test unit, the share of its n-grams in the training text, and the training row that shares most."""

    digest: str
    share: float
    best: Match | None


class TaskContamination(Part):
    """Units of a task's test data of whose n-grams the training text has at least ``min_overlap``."""

    ngram_words: int
    min_overlap: float
    training: list[str]
    units: int
    too_short: int
    contaminated: list[ContaminatedUnit]
    computed_from: Digests


class MeasuredModels(Part):
    """One measure of all models, on the ``units`` test documents or rows that they share, ``of`` so many in the set.

    Changes are named ``<before>_to_<after>``. Relative changes are left out where a numerator is not positive, and
    ``clean`` of strata.
    """

    label: str
    unit: str
    units: int
    of: int
    models: dict[str, ModelValue]
    changes: dict[str, Difference]
    relative_changes: dict[str, Difference] | None = None
    clean: CleanMeasure | None = None


class Cost(Part):
    """Trainings of the exported model as they are planned, and the price of their hours; null if none is configured."""

    trainings: list[PlannedTraining]
    price: float | None


class Compression(Part):
    """Tokens per byte of test text before and after the extension of the tokenizer."""

    before: float
    after: float
    change: float
    bytes: int
    documents: int
    computed_from: Digests


class Training(TrainLog):
    """Training log of a model."""

    computed_from: Digests


class Retrieval(RecallReport):
    """Recall of retrieval."""

    computed_from: Digests


class ServedModel(Serving):
    """Checks of the exported model."""

    computed_from: Digests


class Tokenizer(TokenizerSection):
    """Effect of the extended tokenizer on test text, context, training cost and bits per byte."""

    computed_from: Digests


@dataclass(frozen=True)
class ChangeLine(Change):
    """A line of a table of changes, as text; ``table`` is the title of the section."""

    table: str


class JudgedAnswer(Part):
    """Judgement on an answer of a model; ``label`` is the task's name for it, empty if ``kind`` says all."""

    kind: Kind
    label: str


class AttemptedUnit(Part):
    """A test unit, and the judgement on the answer of each model that was asked.

    The texts are in the results, ``evaluation/<model>/<task>.json``, and on the page.
    """

    digest: str
    category: str
    source: str
    models: dict[str, JudgedAnswer]


class Method(ReportSettings):
    """Settings of the report, and the definition of its statistics."""

    tasks: dict[str, dict[str, Any]]
    not_evaluated: list[str]
    not_searched: list[str]
    intervals: dict[str, str]
    tests: dict[str, str]
    generators: dict[str, str]


class Document(Part):
    """Evaluation report: every number of the page, with its interval and the digests that it is computed from."""

    schema_name: Literal["tapeout.eval-report/1"] = Field(alias="schema")
    summary: Summary
    subject: Subject
    measures: dict[str, MeasuredModels]
    contamination: dict[str, TaskContamination]
    facts: dict[str, Any]
    changes: list[ChangeLine]
    findings: Findings
    cost: Cost
    run: RunFacts
    tokens_per_byte: dict[str, Compression]
    examples: dict[str, list[ExampleGroup]]
    attempts: dict[str, list[AttemptedUnit]]
    training: dict[str, Training]
    retrieval: Retrieval | None = None
    serving: ServedModel | None = None
    tokenizer: Tokenizer | None = None
    gates: list[GateResult]
    artifacts: list[Origin]
    method: Method


def schema() -> str:
    """Return the JSON schema of ``report.json`` as text."""
    return json.dumps(Document.model_json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema())
