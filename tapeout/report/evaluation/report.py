"""Evaluation report: ``report.json`` and ``report.html`` from the results of all tasks for all models."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from markupsafe import Markup

from tapeout.config.report import EvalReportJob
from tapeout.evals.section import Adapted, Comparison, Decisive, Evidence, Method, Section, Tile, Verdict
from tapeout.evals.task import ModelFacts, load_task, read_result
from tapeout.evals.wording import interval_of, number, percent, value_of
from tapeout.report.evaluation import plots, summary
from tapeout.report.evaluation.attempt_data import page_data
from tapeout.report.evaluation.attempts import TaskAttempts, attempts_of, examples_of
from tapeout.report.evaluation.changes import ChangeTable, change_table
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.contamination import Clean, Contamination, Scored, UnitShare, base_digests, clean_values
from tapeout.report.evaluation.findings import Findings, find
from tapeout.report.evaluation.gates import GateResult
from tapeout.report.evaluation.inputs import Provenance, Spike, TokenizerReport, TrainLog
from tapeout.report.evaluation.lineage import anchor, draw, shortened
from tapeout.report.evaluation.recall import RecallReport
from tapeout.report.evaluation.serving import Serving
from tapeout.report.evaluation.tokenizer import TokenizerPage, visible
from tapeout.report.page.render import count, render

MAX_SPIKES = 10
"""Loss spikes on the page; report.json has all of them."""
MAX_CONTAMINATED = 20
"""Contaminated units on the page; report.json has all of them."""
MAX_DOCUMENTS = 4
"""Documents or rows of a spike on the page."""
SCRIPTS = ("attempts.js", "attempts_table.js")
"""Scripts of the page, beside this module."""
OUTCOMES = {"good": "✓ yes", "part": "◐ in part", "open": "? no verdict", "bad": "✗ no"}
"""Answers of the summary in a word, so that they do not depend on colours."""


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that both forms of the report are written from.

    Attributes:
        facts: size of each model.
        adapted: models that the summary compares.
        measured: comparisons of each task by name of the measure, in the order of the sections.
        clean: measures without contaminated units, by name; strata are left out.
        contamination: what the training text contains of the test data, by task.
        origins: artifacts that the values of a measure are computed from, by measure and model.
        sections: sections of the tasks, in the order of the configuration.
        attempts: answers to single test units, of tasks that have them.
        logs: training logs, of models that have one.
        action: digest of the report's own action, which covers all parameters, code and inputs.
        recall: recall of retrieval, if the configuration has it.
        serving: checks of the exported model, if it is evaluated.
        section: section on the tokenizer, if it has new pieces.
    """

    facts: Mapping[str, ModelFacts]
    adapted: Adapted
    measured: Sequence[Mapping[str, Comparison]]
    clean: Mapping[str, Clean]
    contamination: Mapping[str, Contamination]
    origins: Mapping[str, Mapping[str, Sequence[str]]]
    sections: Sequence[Section]
    attempts: Sequence[TaskAttempts]
    tokenizer: TokenizerReport
    logs: Mapping[str, TrainLog]
    provenance: Provenance
    job: EvalReportJob
    action: str
    recall: RecallReport | None = None
    serving: Serving | None = None
    section: TokenizerPage | None = None

    @property
    def models(self) -> dict[str, str]:
        """Artifact of each model, in the order of the report."""
        return dict(self.job.models)

    @property
    def contaminated(self) -> list[tuple[str, str, UnitShare]]:
        """Task, digest and match of each unit that the training text contains."""
        return [
            (task, digest, unit)
            for task, found in self.contamination.items()
            for digest, unit in found.contaminated.items()
        ]

    @property
    def scored(self) -> Scored:
        """Number of the scored test units that were searched for in the training text and occur there."""
        by_task = [
            (task, self.clean[name])
            for task, measured in enumerate(self.measured)
            for name in measured
            if name in self.clean
        ]
        searched = {(task, digest) for task, clean in by_task for digest in base_digests(clean.units)}
        bad = {(task, digest) for task, clean in by_task for digest in base_digests(clean.bad)}
        return Scored(len(searched), len(bad))

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """Comparisons of all tasks, by name of the measure."""
        return {name: comparison for measured in self.measured for name, comparison in measured.items()}

    @property
    def methods(self) -> list[Method]:
        """Definitions of all tasks; those of a task that is evaluated on several sets once."""
        return list({method.term: method for section in self.sections for method in section.methods}.values())

    @property
    def verdicts(self) -> list[Verdict]:
        """Answers of the summary, of all tasks."""
        return list(chain.from_iterable(section.verdicts for section in self.sections))

    @property
    def tiles(self) -> list[Tile]:
        """Further numbers of the summary, of all tasks."""
        return list(chain.from_iterable(section.tiles for section in self.sections))

    @property
    def decisive(self) -> list[Decisive]:
        """Numbers of the first screen, of all tasks."""
        return list(chain.from_iterable(section.decisive for section in self.sections))

    @property
    def answer(self) -> str:
        """The answer of the summary in a sentence; empty if nothing decides it."""
        return summary.answer(self.decisive, self.adapted)

    @property
    def doubtful(self) -> list[str]:
        """Questions of the first screen and the checks on measures that have too few clean units."""
        asked = [(one.title, tuple(one.measures.values())) for one in self.decisive]
        asked += [(one.question, one.measures) for one in self.verdicts]
        doubtful = {name for name, clean in self.clean.items() if clean.is_doubtful}
        return list(dict.fromkeys(title for title, measures in asked if doubtful.intersection(measures)))

    def headline(self, gates: Sequence[GateResult]) -> str:
        """Return the line that sums up the verdicts."""
        return summary.headline(self.verdicts, gates, self.doubtful)

    def cards(self, gates: Sequence[GateResult]) -> list[summary.Card]:
        """Return the numbers of the first screen, red where a gate failed."""
        step = self.adapted.step
        return [
            summary.card_of(one, self.comparisons, step, gates, self.clean[name], self.origins[name][step[1]])
            for one in self.decisive
            for name in [next(iter(one.measures.values()))]
            if step is not None
        ]

    def results_of(self, measures: Iterable[str]) -> list[str]:
        """Return the results that the values of measures are computed from, sorted."""
        return sorted({self.origins[name][model][0] for name in measures for model in self.models})

    @property
    def findings(self) -> Findings:
        """Clear gains and losses of the shipped model over the base model, and what to change."""
        return find(self.measured, self.sections, self.adapted.step, self.job.confidence)

    @property
    def spikes(self) -> list[tuple[str, Spike]]:
        """Loss spikes of all trainings, each with its model; those furthest above the expected loss first."""
        found = [(name, spike) for name, log in self.logs.items() for spike in log.spikes]
        return sorted(found, key=lambda entry: entry[1].median / entry[1].loss)

    @property
    def changes(self) -> list[ChangeTable]:
        """Tables of differences between each two models, of tasks that have measures whose changes are stated."""
        tables = [
            change_table(section.title, measured)
            for section, measured in zip(self.sections, self.measured, strict=True)
        ]
        return [table for table in tables if table.lines]


def build(
    evaluations: Sequence[Path],
    contamination: Mapping[str, Contamination],
    tokenizer: TokenizerReport,
    logs: Mapping[str, TrainLog],
    provenance: Provenance,
    job: EvalReportJob,
    action: str,
    recall: RecallReport | None = None,
    serving: Serving | None = None,
    section: TokenizerPage | None = None,
) -> EvaluationReport:
    """Compute all numbers of the report.

    Args:
        evaluations: result of each task for each model: for the first model all tasks, then for the next.
        contamination: what the training text contains of the test data, by task.
        tokenizer: report of the tokenizer.
        logs: training logs by model.
        provenance: digests of all inputs.
        job: models, tasks and settings.
        action: digest of the report's action.
        recall: recall of retrieval, if the configuration has it.
        serving: checks of the exported model, if it is evaluated.
        section: section on the tokenizer, if it has new pieces.

    Raises:
        UnusableResult: a file is missing or not the result of its task, or the models have different test data.
    """
    models = dict(job.models)
    names = [(model, name) for model in models for name, _, _ in job.tasks]
    files = dict(zip(names, evaluations, strict=True))
    facts: dict[str, ModelFacts] = {}
    comparisons: list[dict[str, Comparison]] = []
    origins: dict[str, dict[str, list[str]]] = {}
    sections, attempts = [], []
    clean: dict[str, Clean] = {}
    adapted = Adapted(**dict(job.adaptation), exported=job.exported_model, sections=job.sections).ordered(list(models))
    for name, module, given in job.tasks:
        task = load_task(module)
        options = task.options.model_validate(given)
        results = {}
        for model in models:
            facts[model], results[model] = read_result(files[model, name], task.result)
        units = {model: task.measure(result, options) for model, result in results.items()}
        measured = compare(units, job)
        clean |= clean_values(units, measured, contamination[name], job)
        for measure, comparison in measured.items():
            origins[measure] = {
                model: [f"evaluation/{model}/{name}.json", artifact, comparison.measure.data]
                for model, artifact in models.items()
            }
        evidence = Evidence(options, results, measured, adapted, job.confidence, job.general_tolerance)
        sections.append(task.describe(evidence))
        answered = {model: found for model, result in results.items() if (found := task.answered(result))}
        if answered:
            judged = adapted.shipped if adapted.shipped in answered else list(answered)[-1]
            attempts.append(attempts_of(name, sections[-1].title, judged, answered))
        comparisons.append(measured)
    return EvaluationReport(
        facts=facts,
        adapted=adapted,
        measured=comparisons,
        clean=clean,
        contamination=contamination,
        origins=origins,
        sections=sections,
        attempts=attempts,
        tokenizer=tokenizer,
        logs=logs,
        provenance=provenance,
        job=job,
        action=action,
        recall=recall,
        serving=serving,
        section=section,
    )


def write_page(report: EvaluationReport, gates: Sequence[GateResult], path: Path) -> None:
    """Write the page: one file without references to others."""
    job, cards, origins = report.job, report.cards(gates), report.provenance.table()
    colours = {model: number % plots.COLOURS + 1 for number, model in enumerate(report.models)}
    # Markup marks as safe what is drawn here; matplotlib escapes the labels inside.
    drawings = [
        (
            *(plot.title, plot.caption, plot.description, Markup(plots.measures(plot, report.comparisons))),
            report.results_of(plot.panels.values()),
        )
        for section in report.sections
        for plot in section.plots
    ]
    vocabulary = report.tokenizer.vocabulary
    if report.logs:
        caption = "Pretraining: all tokens; fine-tuning: tokens of answers only"
        drawing = Markup(plots.losses(report.logs, list(report.models)))
        trained = [report.models[model] for model in report.logs]
        drawings.append(("Loss during training", caption, "Training loss by step", drawing, trained))
    drawings.append(
        (
            "Tokens per byte of test text",
            f"Tokenizer of {count(vocabulary.base)} pieces, extended to {count(vocabulary.extended)}",
            "Tokens per byte before and after the extension",
            Markup(plots.tokens_per_byte(report.tokenizer)),
            ["tokenizer/report.json"],
        )
    )
    # of the others, such as shares of reasons, report.json has the clean values
    stated = {name: one for name, one in report.clean.items() if report.comparisons[name].measure.change is not None}
    attempts = page_data(report.attempts, list(report.models))
    context = {
        "headline": report.headline(gates),
        "gates": gates,
        "report": report,
        "cards": cards,
        "elsewhere": [gate for gate in gates if not gate.passed and not any(gate in card.failed for card in cards)],
        "cost": summary.cost(job),
        "concerned": {name: one for name, one in stated.items() if one.contaminated or not one.searched},
        "clean_measures": sum(one.searched > 0 and not one.contaminated for one in stated.values()),
        "findings": report.findings,
        "job": job,
        "colours": colours,
        "confidence": percent(job.confidence, 0),
        "drawings": drawings,
        "examples": [(group, examples_of(group, job.examples)) for group in report.attempts],
        "attempts": attempts,
        "attempts_data": Markup(attempts.text),  # has no "<"
        "attempts_script": Markup("\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in SCRIPTS)),
        "origins": origins,
        "artifacts": {origin.label: origin for origin in origins},
        "lineage": draw(job.lineage, report.models.values()),
        "colours_of_artifacts": {artifact: colours[model] for model, artifact in report.models.items()},
        "outcomes": OUTCOMES,
        "max_spikes": MAX_SPIKES,
        "max_documents": MAX_DOCUMENTS,
        "max_contaminated": MAX_CONTAMINATED,
    }
    filters: dict[str, Callable[..., str]] = {
        **{"value_of": value_of, "interval_of": interval_of},
        **{"clean_value": clean_value, "visible": visible, "code": code},
        **{
            "anchor": anchor,
            "shortened": shortened,
            "power": summary.power,
            "gpu_time": summary.gpu_time,
            "compact": compact,
        },
    }
    path.write_text(render(Path(__file__).with_name("page.html.j2"), context, filters), encoding="utf-8")


def compact(value: object) -> str:
    """Return a JSON value in one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def code(text: str) -> Markup:
    """Return text with its backquoted words as code; everything else is escaped."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


def clean_value(report: EvaluationReport, name: str, model: str) -> str:
    """Return a model's value of a measure on the units that the training text does not contain."""
    estimate = report.clean[name].values.get(model)
    if estimate is None:
        return "–"
    return number(100 * estimate.value, 1) if report.comparisons[name].measure.percent else number(estimate.value)
