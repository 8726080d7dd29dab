"""A side of a comparison: evaluated models, their scores and the settings that they are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tapeout.config.report import EvalReportJob, PairedStatistics, SweepJob
from tapeout.config.section import Section
from tapeout.evals.section import Adapted, Answered, Measure, Unit
from tapeout.evals.task import UnusableResult, load_task, read_result
from tapeout.report.evaluation.inputs import TrainLog

Tasks = Mapping[str, tuple[str, dict[str, Any]]]
"""Module and options of each task, by name."""
JobT = TypeVar("JobT", bound=Section)


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

    def scores(self, model: str, task: str) -> Scores:
        """Return the scores of a model in a task.

        Raises:
            UnusableResult: the result is missing or was written by another version.
        """
        module, given = self.tasks[task]
        loaded = load_task(module)
        result = read_result(self.evaluations[model, task], loaded.result)[1]
        options = loaded.options.model_validate(given)
        return Scores(loaded.measure(result, options), loaded.answered(result))


def side_of_report(
    name: str, job: EvalReportJob, evaluations: Mapping[tuple[str, str], Path], logs: Mapping[str, TrainLog]
) -> Side:
    """Return the side of an evaluation report; it judges the model that its verdicts judge."""
    shipped = Adapted(**dict(job.adaptation), exported=job.exported_model).shipped
    return Side(name, job, [model for model, _ in job.models], shipped, _tasks(job), evaluations, logs)


def side_of_variant(
    name: str, job: SweepJob, evaluations: Mapping[tuple[str, str], Path], logs: Mapping[str, TrainLog]
) -> Side:
    """Return the side of a variant of a sweep; it judges the model by which the variants are compared."""
    return Side(name, job, [job.model], job.model, _tasks(job), evaluations, logs)


def _tasks(job: EvalReportJob | SweepJob) -> Tasks:
    return {name: (module, options) for name, module, options in job.tasks}


def evaluations_of(job: EvalReportJob) -> dict[tuple[str, str], str]:
    """Return the artifact of each result that a report is computed from, by model and task."""
    return {(model, task): f"evaluation/{model}/{task}.json" for model, _ in job.models for task, _, _ in job.tasks}


def read_job(name: str, parameters: Mapping[str, Any], form: type[JobT]) -> JobT:
    """Return the parameters of a report, as its action has them.

    Raises:
        UnusableResult: they are those of another version.
    """
    try:
        return form.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UnusableResult(
            f"The report of {name} was made by another version of the project: {field}: {first['msg']}.",
            "Build it again with this version, or compare with the version that made it.",
        ) from error
