"""Inputs and parameters of the rule ``eval_report``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tapeout.config.export import ANSWERS
from tapeout.config.report import EvalReportJob, PlannedTraining, ReportSettings
from tapeout.config.root import Settings
from tapeout.config.run_facts import run_facts
from tapeout.config.wiring import Wiring


@dataclass(frozen=True)
class ReportWiring:
    """The evaluation report as its rule needs it; ``wiring`` is that of the same configuration."""

    wiring: Wiring

    @property
    def settings(self) -> Settings:
        """The configuration."""
        return self.wiring.settings

    @property
    def evaluated(self) -> list[tuple[str, str]]:
        """Each pair of a model and a task."""
        return [(model, task) for model in self.settings.evaluation.models for task in self.settings.evaluations]

    def parameters(
        self,
        trainings: Iterable[PlannedTraining] = (),
        lineage: Callable[[], dict[str, list[str]]] = dict,
        versions: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Callable[[Any], Any]]:
        """Return the parameters of the rule ``eval_report``.

        Args:
            trainings: those of the exported model.
            lineage: returns which inputs of the report are built from which others; called when all rules are known.
            versions: those of the packages that train and evaluate.
        """
        settings, evaluation, runs = self.settings, self.settings.evaluation, self.settings.evaluations
        reads_corpora = settings.dapt.reads == "corpus"
        job = EvalReportJob(
            **settings.report.model_dump(mode="json", include=set(ReportSettings.model_fields)),
            adaptation=evaluation.adaptation,
            exported=self.wiring.exported,
            trainings=tuple(trainings),
            licences={f"sources/{name}": settings.sources[name].licence for name in sorted(settings.used_sources)},
            models=tuple(evaluation.models.items()),
            tasks=tuple((name, run.task, run.options.identity()) for name, run in runs.items()),
            not_evaluated=tuple(sorted(set(settings.instructions.train) - set(settings.evaluated_sets))),
            not_searched=tuple(self.wiring.unsearched_sources),
            trained_on=tuple(sorted(settings.corpus.domain.train if reads_corpora else settings.pretraining.sources)),
            held_out=tuple(sorted(settings.corpus.domain.test)),
            general=tuple(settings.corpus.general.sources if reads_corpora else ()),
        )
        modules = list(dict.fromkeys(run.module for run in runs.values()))
        parameters = EvalReportJob.parameters(lambda _: job)
        late = {"lineage": lambda _: lineage(), "facts": lambda _: run_facts(settings, versions).identity()}
        return {**parameters, **late, "plugins": lambda _: modules}

    @property
    def recall(self) -> dict[str, Any]:
        """Input of the evaluation report: recall of retrieval, if the configuration has it."""
        return {"recall": self.wiring.artifact("retrieval/recall.json")} if self.settings.retrieval else {}

    @property
    def serving_checks(self) -> dict[str, Any]:
        """Inputs of the evaluation report: checks of the exported model, if it has answered test questions."""
        asks = any(run.task == ANSWERS for run in self.settings.evaluations.values())
        if not asks or self.wiring.exported not in self.settings.evaluation.models.values():
            return {}
        return {name: self.wiring.artifact(f"export/{name}.json") for name in ("certificate", "serve_check")}

    @property
    def upstream(self) -> list[str]:
        """Artifacts that the numbers of the evaluation report depend on, besides those that it reads.

        The fine-tuned model and its export are among them if it is evaluated: a report on adapters needs no other
        training.
        """
        models = set(self.settings.evaluation.models.values())
        data = [name for run in self.settings.evaluations.values() for name, _ in run.files.values()]
        artifacts = ["corpus/domain", "corpus/general", "tokenizer", "base", "base_extended"]
        if self.wiring.exported in models:
            trained = ["nemo/base.nemo", "dapt/model"] if "dapt" in self.settings.exported_trainings else []
            artifacts += [*trained, "export/hf"]
        artifacts += [
            f"{step}/{name}" for name in self.settings.instructions.train for step in ("instructions", "encoded")
        ]
        if self.settings.dapt.reads == "pretraining":
            documents = [f"pretraining/documents/{name}" for name in self.settings.pretraining.sources]
            artifacts += ["pretraining/blend.json", *documents]
        sources = [f"sources/{name}" for name in self.settings.used_sources]
        return sorted({*data, *artifacts, *sources} - models)
