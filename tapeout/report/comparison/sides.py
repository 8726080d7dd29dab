"""A side of a comparison: one evaluation report and the results that it was computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tapeout.config.report import EvalReportJob
from tapeout.evals.section import Adapted
from tapeout.evals.task import UnusableResult
from tapeout.report.evaluation.inputs import TrainLog


@dataclass(frozen=True)
class Side:
    """An evaluation report.

    Attributes:
        name: how the user names it, such as ``@before``.
        job: parameters of the report: models, tasks and statistics.
        evaluations: result of each task for each model, by model and task.
        logs: training logs, of models that have one.
    """

    name: str
    job: EvalReportJob
    evaluations: Mapping[tuple[str, str], Path]
    logs: Mapping[str, TrainLog] = field(default_factory=dict)

    @property
    def shipped(self) -> str | None:
        """The model that the verdicts of the report judge."""
        return Adapted(**dict(self.job.adaptation), exported=self.job.exported_model).shipped

    @property
    def tasks(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Module and options of each task, by name."""
        return {name: (module, options) for name, module, options in self.job.tasks}


def evaluations_of(job: EvalReportJob) -> dict[tuple[str, str], str]:
    """Return the artifact of each result that a report is computed from, by model and task."""
    return {(model, task): f"evaluation/{model}/{task}.json" for model, _ in job.models for task, _, _ in job.tasks}


def read_job(name: str, parameters: Mapping[str, Any]) -> EvalReportJob:
    """Return the parameters of a report, as its action has them.

    Raises:
        UnusableResult: they are those of another version.
    """
    try:
        return EvalReportJob.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UnusableResult(
            f"The report of {name} was made by another version of the project: {field}: {first['msg']}.",
            "Build it again with this version, or compare with the version that made it.",
        ) from error
