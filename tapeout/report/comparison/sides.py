"""A side of a comparison: evaluated models, their scores and the settings that they are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from tapeout.config.evaluation import Adaptation
from tapeout.config.report import PairedStatistics
from tapeout.evals.section import Adapted, Answered, Measure, Unit
from tapeout.evals.task import UnusableResult, load_task
from tapeout.report.evaluation.inputs import TrainLog

Tasks = Mapping[str, tuple[str, dict[str, Any]]]
"""Module and options of each task, by name."""
Form = TypeVar("Form", bound=BaseModel)


class ReportJob(PairedStatistics):
    """The parameters of ``eval_report`` that a comparison needs; a report of another version has more or fewer."""

    adaptation: Adaptation
    exported: str
    models: tuple[tuple[str, str], ...]
    tasks: tuple[tuple[str, str, dict[str, Any]], ...]

    @property
    def exported_model(self) -> str | None:
        """Name of the evaluated model that is exported, if there is one."""
        return next((name for name, artifact in self.models if artifact == self.exported), None)


class VariantsJob(PairedStatistics):
    """The parameters of ``sweep`` that a comparison needs."""

    model: str
    variants: tuple[str, ...]
    tasks: tuple[tuple[str, str, dict[str, Any]], ...]


@dataclass(frozen=True)
class Scores:
    """Scores of a model in a task, and its answers by digest of the unit, if the task tells them."""

    measured: Sequence[tuple[Measure, Sequence[Unit]]]
    answered: Mapping[str, Answered]


@dataclass(frozen=True)
class Side:
    """An evaluation report, or a variant of a sweep.

    Attributes:
        name: how the user names it, such as ``@before``.
        settings: statistics that it is compared with, if it is the later side.
        models: names of the evaluated models, in order.
        shipped: the model that the comparison judges, if there is one.
        tasks: see ``Tasks``.
        evaluations: result of each task for each model, by model and task.
        logs: training logs, of models that have one.
    """

    name: str
    settings: PairedStatistics
    models: Sequence[str]
    shipped: str | None
    tasks: Tasks
    evaluations: Mapping[tuple[str, str], Path]
    logs: Mapping[str, TrainLog] = field(default_factory=dict)

    def options(self, task: str) -> dict[str, Any]:
        """Return the options of a task, with the default of those that its version did not have yet.

        Raises:
            UnusableResult: they cannot be read.
        """
        module, given = self.tasks[task]
        known = read_known(f"The task {task} of {self.name}", given, load_task(module).options)
        return {**given, **known.model_dump(mode="json")}

    def scores(self, model: str, task: str) -> Scores:
        """Return the scores of a model in a task.

        Raises:
            UnusableResult: the result is missing or was written by another version.
        """
        module, given = self.tasks[task]
        loaded = load_task(module)
        path = self.evaluations[model, task]
        try:
            document = orjson.loads(path.read_bytes())["result"]
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UnusableResult(f"{path} is not the result of a task: {error}.", f"Build {task} again.") from error
        result = read_known(f"The result of {task} for {model} in {self.name}", document, loaded.result)
        options = read_known(f"The task {task} of {self.name}", given, loaded.options)
        return Scores(loaded.measure(result, options), loaded.answered(result))


def side_of_report(
    name: str, job: ReportJob, evaluations: Mapping[tuple[str, str], Path], logs: Mapping[str, TrainLog]
) -> Side:
    """Return the side of an evaluation report; it judges the model that its verdicts judge."""
    shipped = Adapted(**dict(job.adaptation), exported=job.exported_model).shipped
    return Side(name, job, [model for model, _ in job.models], shipped, _tasks(job), evaluations, logs)


def side_of_variant(
    name: str, job: VariantsJob, evaluations: Mapping[tuple[str, str], Path], logs: Mapping[str, TrainLog]
) -> Side:
    """Return the side of a variant of a sweep; it judges the model by which the variants are compared."""
    return Side(name, job, [job.model], job.model, _tasks(job), evaluations, logs)


def _tasks(job: ReportJob | VariantsJob) -> Tasks:
    return {name: (module, options) for name, module, options in job.tasks}


def evaluations_of(job: ReportJob) -> dict[tuple[str, str], str]:
    """Return the artifact of each result that a report is computed from, by model and task."""
    return {(model, task): f"evaluation/{model}/{task}.json" for model, _ in job.models for task, _, _ in job.tasks}


def read_known(what: str, value: Any, form: type[Form]) -> Form:
    """Return the part of a value that this version knows; fields that another version has added are ignored.

    Args:
        what: names the value in the error, at the start of a sentence.
        value: parameters, options or a result, as JSON values.
        form: what is read of it, with all parts of the parts.

    Raises:
        UnusableResult: a field that is needed is missing, or has another form.
    """
    try:
        return form.model_validate(value, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UnusableResult(
            f"{what} was made by another version of the project: {field}: {first['msg']}.",
            "Build it again with this version, or compare with the version that made it.",
        ) from error
