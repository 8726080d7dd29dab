"""Section ``evaluation``: the evaluated models and the tasks.

A task is a module in ``tapeout/evals/tasks``, or a module elsewhere in the project that the configuration names by its
dotted name (docs/extending.md). It defines its options, which are validated when the configuration is read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    SerializeAsAny,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from tapeout import plugins
from tapeout.config.computation import Computation
from tapeout.config.instructions import EncodeJob
from tapeout.config.plugin_options import plugin_member, with_hints
from tapeout.config.rtl_problems import ProblemSet
from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName
from tapeout.config.task_options import ProblemOptions, QuestionOptions, SampledOptions, TaskOptions

TASKS = "tapeout.evals.tasks"
"""Package of the tasks that come with the project."""

NEMO = "nemo"
"""Environment in which tasks in one step score models unless they name another; a container may take its place."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$")]
"""Short name of an evaluated model: part of an artifact's name, and its label in the report."""

ArtifactName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(/[a-zA-Z0-9][a-zA-Z0-9._-]*)*$")]
"""Name of an artifact below ``results/``; braces, which Snakemake takes for wildcards, are not allowed."""


NOT_MODELS = {
    *("corpus", "pretraining", "instructions", "encoded", "inspected", "data_report", "problems", "checked"),
    *("samples", "tokenizer", "evaluation", "contamination", "eval_report", "sweep", "deploy", "retrieval"),
}
"""First names of artifacts that are not models."""


def may_be_model(artifact: str) -> bool:
    """Return whether an artifact may be a model folder; the project's rules do not make it as something else."""
    return artifact.split("/")[0] not in NOT_MODELS and not artifact.endswith((".json", ".nemo", ".gguf", "/adapter"))


class Adaptation(Section):
    """Models that the report's summary compares; sentences about a model that is null are left out."""

    base: str | None = Field("base", description="The model before the adaptation.")
    pretrained: str | None = Field("dapt", description="The model after continued pretraining.")
    tuned: str | None = Field("sft", description="The model after fine-tuning.")


@dataclass(frozen=True)
class TaskRun:
    """A task as it is evaluated: on one instruction set if it asks questions.

    Attributes:
        task, options: module of the task, and its options with the set filled in.
        parts: number of parts that its prompts are divided into, if it runs in two steps.
    """

    task: str
    options: TaskOptions
    parts: int = 1

    @property
    def module(self) -> str:
        """Dotted name of the module, which a step that loads it declares."""
        return plugins.module_name(TASKS, self.task)

    @property
    def files(self) -> dict[str, tuple[str, str]]:
        """Artifact and path of each file of test data, by its name in the task."""
        return dict(_task(self.task).files(self.options))

    @property
    def searched(self) -> dict[str, tuple[str, str]]:
        """Artifact and path of each of these files whose texts are searched for in the training text."""
        return dict(_task(self.task).searched(self.options))

    @property
    def sources(self) -> list[str]:
        """Names of the sources that test data is read from, sorted."""
        folder = "sources/"
        return sorted({name.removeprefix(folder) for name, _ in self.files.values() if name.startswith(folder)})

    @property
    def judge_job(self) -> "JudgeJob":
        """Parameters of the rule ``judge``."""
        return JudgeJob(task=self.task, options=self.options.identity())

    @property
    def is_sampled(self) -> bool:
        """True if the task runs in two steps."""
        return isinstance(self.options, SampledOptions)

    @property
    def environment(self) -> str:
        """Name of the environment in which a task in one step scores models."""
        return str(_task(self.task).environment)

    @property
    def sampler(self) -> str:
        """Dotted name of the module that samples the answers of a task in two steps."""
        return str(_task(self.task).sampler)

    @property
    def sampling_options(self) -> TaskOptions:
        """The options that affect these answers; judging has others."""
        kind: type[TaskOptions] = _sampler(self.task).options
        given = self.options.identity()
        return kind.model_validate({name: given[name] for name in kind.model_fields})

    def sampler_files(self, part: int) -> dict[str, tuple[str, str]]:
        """Return artifact and path of each file that a sampler reads for a part, by its name in the sampler."""
        return dict(_sampler(self.task).files(self.sampling_options, part))

    def tokens(self, context: int) -> float:
        """Return how many tokens pass through a model with this context, at most; for estimates of time."""
        return float(_task(self.task).tokens(self.options, context))

    def job(self, computation: Computation, encoding: EncodeJob) -> "EvaluateJob":
        """Return the parameters of the step; the encoding of rows counts only for a task that asks questions.

        An environment of a task's own has PyTorch for the CPU.
        """
        asks = isinstance(self.options, QuestionOptions)
        if self.environment != NEMO:
            computation = computation.model_copy(update={"gpu_model": None})
        return EvaluateJob(
            task=self.task,
            options=self.options.identity(),
            encoding=encoding if asks else None,
            **computation.model_dump(),
        )

    def samples_job(self, computation: Computation, encoding: EncodeJob) -> "SamplesJob":
        """Return the parameters of the first of two steps."""
        options = self.sampling_options.identity()
        return SamplesJob(sampler=self.sampler, options=options, encoding=encoding, **computation.model_dump())


class Evaluation(Computation):
    """Models and tasks. Each pair of them is one artifact, ``evaluation/<model>/<task>.json``.

    A task that asks questions is evaluated on each instruction set: ``evaluation/<model>/<task>/<set>.json``. The same
    holds for a task about problem sets.
    """

    models: dict[ModelName, ArtifactName] = Field(
        {"base": "base", "dapt": "dapt/model", "sft": "sft/model"},
        min_length=1,
        description="Artifact of each evaluated model, by its name in the report, in the order of the report.",
    )
    tasks: dict[str, SerializeAsAny[TaskOptions]] = Field(
        {"bits_per_byte": {}, "instruction_answers": {}, "multiple_choice": {}, "verilog_generation": {}},
        min_length=1,
        validate_default=True,
        description="Options of each task, by the task's module, in the order of the report. Default tasks are left "
        "out if no sources file has their questions or problems.",
        json_schema_extra=lambda schema: schema.update(properties=_schemas()),
    )
    sets: tuple[SourceName, ...] | None = Field(
        None,
        description="Instruction sets whose test rows the models answer; null: all of instructions.train that have "
        "test rows.",
    )
    problems: dict[SourceName, ProblemSet] = Field(
        {"rtl_problems": ProblemSet()},
        description="Problem sets for tasks about designs, by the name of their source; the default one is left out if "
        "it is in no sources file.",
    )
    adaptation: Adaptation = Adaptation()

    @field_validator("models")
    @classmethod
    def _are_models(cls, models: dict[str, str]) -> dict[str, str]:
        for name, artifact in models.items():
            if not may_be_model(artifact):
                cause = f"models.{name} names {artifact}, not a model folder such as base"
                raise conflict(cause, "Name the artifact of a model.", (name,))
        return models

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
                cause = f"adaptation.{key} names {name}, which is not one of models ({', '.join(self.models)})"
                fix = f"Name one of them, or set adaptation.{key}: null to leave its sentences out."
                raise conflict(cause, fix, f"adaptation.{key}", "models")
        names = [name for _, name in self.adaptation if name is not None]
        if names != sorted(names, key=list(self.models).index):
            raise conflict(
                f"models are not in the order of the adaptation: {', '.join(names)}",
                "List them in this order.",
                "models",
                "adaptation",
            )
        return self

    @property
    def used_problems(self) -> list[str]:
        """Problem sets that a task reads."""
        reads = any(isinstance(options, ProblemOptions) for options in self.tasks.values())
        return list(self.problems) if reads else []

    @property
    def permit_no_isolation(self) -> bool:
        """True if every task about problem sets permits it."""
        tasks = [options for options in self.tasks.values() if isinstance(options, ProblemOptions)]
        return bool(tasks) and all(options.permit_no_isolation for options in tasks)

    def runs(self, sets: Iterable[str]) -> dict[str, TaskRun]:
        """Return each task by its name; a task about sets once for every set, as ``<task>/<set>``."""
        runs = {}
        for task, options in self.tasks.items():
            if isinstance(options, QuestionOptions):
                for name in sets:
                    filled = options.model_copy(update={"data": f"instructions/{name}"})
                    runs[f"{task}/{name}"] = TaskRun(task, filled)
            elif isinstance(options, ProblemOptions):
                for name, problems in self.problems.items():
                    filled_in = options.model_copy(update={"problems": f"problems/{name}"})
                    runs[f"{task}/{name}"] = TaskRun(task, filled_in, problems.parts)
            else:
                runs[task] = TaskRun(task, options)
        return runs


def with_available(evaluation: Mapping[str, Any], sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section as given, without default tasks and problem sets whose source does not exist.

    A project with sources of its own need not have them. What the user names stays, so that a wrong name is an error.
    """
    given = dict(evaluation)
    if "problems" not in given:
        known = Evaluation.model_fields["problems"].default
        kept: dict[str, Any] = {name: {} for name in known if name in sources}
        if len(kept) < len(known):
            given["problems"] = kept
    if "tasks" not in given:
        tasks = {name: _options(name, {}) for name in Evaluation.model_fields["tasks"].default}
        left = [
            name
            for name, options in tasks.items()
            if (isinstance(options, ProblemOptions) and not given.get("problems", True))
            or set(TaskRun(name, options).sources) - set(sources)
        ]
        if left:
            given["tasks"] = {name: {} for name in tasks if name not in left}
    return given


class JudgeJob(Section):
    """Parameters of the rule ``judge``: samples of one model, judged without it."""

    task: str = Field(description="Module of the task.")
    options: dict[str, Any] = Field(description="Options of the task.")


class SamplesJob(Computation):
    """Parameters of the rule ``samples``: the answers of one model, which are judged later."""

    sampler: str = Field(description="Module of the sampler.")
    options: dict[str, Any] = Field(description="Options of the sampler.")
    encoding: EncodeJob = Field(description="How prompts become token ids for a model without its own template.")


class EvaluateJob(Computation):
    """Parameters of the rule ``evaluate``: one task for one model."""

    task: str = Field(description="Module of the task.")
    options: dict[str, Any] = Field(description="Options of the task.")
    encoding: EncodeJob | None = Field(
        description="How rows become token ids, as for training; null for a task that asks no questions. A fine-tuned "
        "model has its own prompt template in its folder."
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


def _sampler(name: str) -> Any:
    """Return the sampler of a task in two steps.

    Raises:
        ValueError: the task names no module, or one without a sampler.
    """
    module = getattr(_task(name), "sampler", None)
    if not isinstance(module, str) or "." not in module:
        raise ValueError(f"{name} is not a task in two steps: its TASK has no dotted name of a module as sampler")
    return plugin_member(TASKS, module, "SAMPLER", "sampler")


def _options(name: str, given: Any) -> TaskOptions:
    """Return the validated options of a task.

    Raises:
        ValidationError: an option is unknown or has a wrong value.
        ValueError: there is no such task.
    """
    kind: type[TaskOptions] = _task(name).options
    if issubclass(kind, SampledOptions):
        _sampler(name)
    if isinstance(given, TaskOptions):
        return given
    for base, field, key in ((QuestionOptions, "data", "sets"), (ProblemOptions, "problems", "problems")):
        if issubclass(kind, base) and isinstance(given, Mapping) and field in given:
            raise ValueError(f"{name}.{field} is filled in for each set; name the sets under evaluation.{key}")
    try:
        return kind.model_validate({} if given is None else given)
    except ValidationError as error:
        raise with_hints(error, kind, (name,)) from error


def _schemas() -> dict[str, Any]:
    """Return the JSON schemas of the options of the project's own tasks."""
    return {name: _task(name).options.model_json_schema() for name in plugins.available(TASKS)}
