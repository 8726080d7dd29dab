"""Tasks of the harness lm-eval (Gao et al. 2021), for example to see what an adaptation makes a model forget.

The harness comes from an environment of its own, and reads task files and data from sources alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from tapeout.config.section import conflict
from tapeout.config.sources import SourceName
from tapeout.config.task_options import ScoringOptions
from tapeout.data.io.jsonl import read_jsonl
from tapeout.evals.harness_result import Harness, document_digest, group_units, units_of
from tapeout.evals.harness_section import group_measure, measure_of, section_of
from tapeout.evals.section import Evidence, Measure, Section, Unit
from tapeout.evals.task import Task

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

ASSUMED_DOCUMENTS = 500
"""Documents of a task whose number is not limited, for estimates of time."""
REQUESTS = 4
"""Requests of a document, for estimates of time."""

TaskName = Annotated[str, StringConstraints(pattern=r"^[^\s,{}]+$")]
DatasetName = Annotated[str, StringConstraints(min_length=1)]


class Options(ScoringOptions):
    """Tasks of lm-eval that are scored, and the sources of their files."""

    tasks: tuple[TaskName, ...] = Field((), description="Names of tasks, groups or tags of lm-eval; at least one.")
    source: SourceName | None = Field(
        None,
        description="Source with task files (*.yaml) and their data; such a task comes before lm-eval's of that name.",
    )
    datasets: dict[DatasetName, SourceName] = Field(
        {}, description="Source with the files of a data set, by the name that tasks give it (dataset_path)."
    )
    shots: int | None = Field(
        None, ge=0, description="Examples in a prompt; null: as each task states. Tasks that state 0 keep it."
    )
    max_documents: int | None = Field(None, ge=1, description="Documents of each task, the first ones; null: all.")
    seed: int = Field(1234, ge=0, description="Seed by which lm-eval chooses examples.")
    default_answer_tokens: int = Field(
        256,
        ge=1,
        description="Maximum length of a generated answer if its task states none; at most half of the context.",
    )
    generation_batch_rows: int = Field(32, ge=1, description="Answers that are generated in one batch.")

    @field_validator("tasks")
    @classmethod
    def _are_different(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(tasks)) < len(tasks):
            raise conflict("tasks names a task twice", "Remove one of them.", "tasks")
        return tasks

    @model_validator(mode="after")
    def _has_tasks_and_data(self) -> Self:
        if not self.tasks:
            raise conflict("tasks is empty", "Name tasks of lm-eval, for example tasks: [arc_easy].", "tasks")
        if self.source is None and not self.datasets:
            raise conflict(
                "neither source nor datasets is given, so tasks have no data",
                "Name a source of task files, or for each data set (dataset_path) a source with its files.",
                "source",
                "datasets",
            )
        return self

    def artifact(self, data_set: str) -> str:
        """Return the artifact with the files of a data set, or of the folder of tasks."""
        return f"sources/{self.datasets.get(data_set, self.source)}"


class LmEvalTask(Task[Options, Harness]):
    """Scores of tasks of lm-eval, document by document."""

    options = Options
    result = Harness
    environment = "lm_eval"

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the folder of task files, and those of data sets."""
        own = {} if options.source is None else {"tasks": (f"sources/{options.source}", "")}
        return own | {f"data {name}": (f"sources/{source}", "") for name, source in sorted(options.datasets.items())}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> Harness:
        """Let lm-eval score the model."""
        from tapeout.evals.harness import run_tasks
        from tapeout.evals.harness_model import HarnessModel

        wrapped = HarnessModel(
            model, options.score_batch_tokens, options.default_answer_tokens, options.generation_batch_rows
        )
        return run_tasks(
            wrapped,
            options.tasks,
            files.get("tasks"),
            {name: files[f"data {name}"] for name in options.datasets},
            options.shots,
            options.max_documents,
            options.seed,
        )

    def texts(self, files: Mapping[str, Path], options: Options) -> dict[str, str]:
        """Return the texts of all rows of JSON Lines files; documents from other files are not searched for."""
        rows = (
            row for folder in files.values() for path in sorted(folder.rglob("*.jsonl")) for row in read_jsonl(path)
        )
        return {document_digest(row): "\n".join(_strings(row)) for row in rows}

    def tokens(self, options: Options, context: int) -> float:
        """Return an estimate: how many documents and requests tasks have is not known before they are read."""
        documents = min(options.max_documents or ASSUMED_DOCUMENTS, ASSUMED_DOCUMENTS)
        return float(len(options.tasks) * documents * REQUESTS * context)

    def measure(self, result: Harness, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return each metric that is a ratio of sums over documents, and that of groups."""
        data = {task.name: options.artifact(task.data_set) for task in result.tasks}
        own = [
            (measure_of(data[task.name], task, metric), units_of(task, metric))
            for task in result.tasks
            for metric in task.metrics
            if metric.aggregation != "other"
        ]
        return own + [
            (group_measure(data[group.tasks[0]], result, group), group_units(result, group)) for group in result.groups
        ]

    def describe(self, evidence: Evidence[Harness]) -> Section:
        """Describe scores by task, and what changed clearly."""
        return section_of(evidence)


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key in sorted(value) for text in _strings(value[key])]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


TASK = LmEvalTask()
