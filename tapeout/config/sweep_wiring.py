"""Inputs and parameters of the rule ``sweep``, which compares all variants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tapeout.config.evaluation import TaskRun
from tapeout.config.report import SweepJob
from tapeout.config.root import Settings


@dataclass(frozen=True)
class SweepWiring:
    """Parts of the rule, as one object.

    Attributes:
        settings: the configuration.
        combinations: that of each combination of choices, by name.
        artifact: returns an input for a combination, an artifact's name and a path in it.
    """

    settings: Settings
    combinations: Mapping[str, Settings]
    artifact: Callable[[str, str, str], Any]

    @property
    def tasks(self) -> dict[str, TaskRun]:
        """Tasks that all variants are evaluated on: they may train on other sets, and so be asked other questions."""
        variants = [self.combinations[name].evaluations for name in self.settings.sweep.variants]
        return {
            name: run for name, run in self.settings.evaluations.items() if all(name in tasks for tasks in variants)
        }

    @property
    def evaluations(self) -> list[Any]:
        """Results of the first variant for each task, then those of the next."""
        model, tasks = self.settings.compared_model, list(self.tasks)
        return [
            self.artifact(variant, f"evaluation/{model}/{task}.json", "")
            for variant in self.settings.sweep.variants
            for task in tasks
        ]

    @property
    def models(self) -> list[Any]:
        """The compared model of each variant."""
        return [
            self.artifact(variant, self.combinations[variant].evaluation.models[self.settings.compared_model], "")
            for variant in self.settings.sweep.variants
        ]

    @property
    def parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule."""
        sweep, report, runs = self.settings.sweep, self.settings.report, self.tasks
        job = SweepJob(
            **report.model_dump(include=set(SweepJob.model_fields)),
            model=self.settings.compared_model,
            axes={name: tuple(choices) for name, choices in sweep.choices.items()},
            variants=tuple(sweep.variants),
            tasks=tuple((name, run.task, run.options.identity()) for name, run in runs.items()),
        )
        modules = list(dict.fromkeys(run.module for run in runs.values()))
        return {**SweepJob.parameters(lambda _: job), "plugins": lambda _: modules}
