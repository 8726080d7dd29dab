"""Section ``evaluation``: the evaluated models and the tasks.

A task is a module in ``tapeout/evals/tasks``, or a module elsewhere in the project that the configuration names by its
dotted name (docs/extending.md). It defines its options, which are validated when the configuration is read.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, SerializeAsAny, StringConstraints, ValidationError, field_validator, model_validator

from tapeout import plugins
from tapeout.config.plugin_options import plugin_member, with_hints
from tapeout.config.section import Section

TASKS = "tapeout.evals.tasks"
"""Package of the tasks that come with the project."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$")]
"""Short name of an evaluated model: part of an artifact's name, and its label in the report."""

ArtifactName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(/[a-zA-Z0-9][a-zA-Z0-9._-]*)*$")]
"""Name of an artifact below ``results/``; braces, which Snakemake takes for wildcards, are not allowed."""


class TaskOptions(Section):
    """Base class of the options of a task; their values are the same for every model, so that results can be paired."""


class ScoringOptions(TaskOptions):
    """Options of tasks that score given tokens."""

    score_batch_tokens: int = Field(
        4_096,
        ge=1,
        description="Tokens, padding included, in one forward pass while scoring; the last bits of a float sum depend "
        "on it.",
    )


class Adaptation(Section):
    """Models that the report's summary compares; sentences about a model that is null are left out."""

    base: str | None = Field("base", description="The model before the adaptation.")
    pretrained: str | None = Field("dapt", description="The model after continued pretraining.")
    tuned: str | None = Field("sft", description="The model after fine-tuning.")


class Evaluation(Section):
    """Models and tasks. Each pair of them is one artifact, ``evaluation/<model>/<task>.json``."""

    models: dict[ModelName, ArtifactName] = Field(
        {"base": "base", "dapt": "dapt/model", "sft": "sft/model"},
        min_length=1,
        description="Artifact of each evaluated model, by its name in the report, in the order of the report.",
    )
    tasks: dict[str, SerializeAsAny[TaskOptions]] = Field(
        {"bits_per_byte": {}, "instruction_answers": {}},
        min_length=1,
        validate_default=True,
        description="Options of each task, by the task's module, in the order of the report.",
        json_schema_extra=lambda schema: schema.update(properties=_schemas()),
    )
    adaptation: Adaptation = Adaptation()
    threads: int = Field(
        2,
        ge=1,
        description="Threads of PyTorch: another number adds floats in another order, so it is a parameter and not a "
        "resource.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _check_options(cls, tasks: Any) -> Any:
        if not isinstance(tasks, Mapping):
            return tasks
        return {name: _options(name, given) for name, given in tasks.items()}

    @model_validator(mode="after")
    def _compared_models_are_evaluated(self) -> Self:
        for key, name in self.adaptation:
            if name is not None and name not in self.models:
                known = ", ".join(self.models)
                raise ValueError(f"adaptation.{key} names {name}, which is not one of the models ({known})")
        return self

    def files(self, task: str) -> dict[str, tuple[str, str]]:
        """Return the test data of a task: artifact and path of each file, by its name in the task."""
        return dict(_task(task).files(self.tasks[task]))

    def tokens(self, task: str, context: int) -> float:
        """Return how many tokens a task passes through a model with this context, at most; for estimates of time."""
        return float(_task(task).tokens(self.tasks[task], context))

    def modules(self, tasks: Iterable[str]) -> list[str]:
        """Return the modules of tasks, which a step that loads them declares."""
        return [plugins.module_name(TASKS, task) for task in tasks]

    def job(self, task: str, template: str) -> "EvaluateJob":
        """Return the parameters of a task; ``template`` counts only for one that asks questions."""
        return EvaluateJob(
            task=task,
            options=self.tasks[task].identity(),
            threads=self.threads,
            template=template if _task(task).asks_questions else "",
        )

    @property
    def results(self) -> list[tuple[str, str]]:
        """Each pair of a model and a task."""
        return [(model, task) for model in self.models for task in self.tasks]


class EvaluateJob(Section):
    """Parameters of the rule ``evaluate``: one task for one model."""

    task: str = Field(description="Module of the task.")
    options: dict[str, Any] = Field(description="Options of the task.")
    threads: int = Field(ge=1, description="Threads of PyTorch.")
    template: str = Field(
        description="Prompt template for models that have none of their own; a fine-tuned model is evaluated with the "
        "template that it was trained with, which lies in its folder. Empty for a task that asks no questions."
    )


def _task(name: str) -> Any:
    """Return the task of a module.

    Raises:
        ValueError: there is no such module, or it has no task.
    """
    task = plugin_member(TASKS, name, "TASK", "task")
    options = getattr(task, "options", None)
    if not (isinstance(options, type) and issubclass(options, TaskOptions)):
        raise ValueError(f"{name} is not a task: its TASK is no tapeout.evals.task.Task")
    return task


def _options(name: str, given: Any) -> TaskOptions:
    """Return the validated options of a task.

    Raises:
        ValidationError: an option is unknown or has a wrong value.
        ValueError: there is no such task.
    """
    kind: type[TaskOptions] = _task(name).options
    if isinstance(given, TaskOptions):
        return given
    try:
        return kind.model_validate({} if given is None else given)
    except ValidationError as error:
        raise with_hints(error, kind, (name,)) from error


def _schemas() -> dict[str, Any]:
    """Return the JSON schemas of the options of the project's own tasks."""
    return {name: _task(name).options.model_json_schema() for name in plugins.available(TASKS)}
