"""Section of the evaluation report on tasks of lm-eval."""

from collections.abc import Iterator, Mapping
from typing import Any

from tapeout.evals.harness_result import GroupScore, Harness, HarnessTask, Metric, units_of
from tapeout.evals.section import Evidence, Measure, Method, Outcome, Section, Table, TableRow, Verdict
from tapeout.evals.wording import MIN_UNITS, number, outcome, value_of

NAME = "lm_eval"
FRACTIONS = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"}
"""Metrics between 0 and 1, shown in per cent."""
UNITS = {
    "mean": "",
    "perplexity": ", nats per document",
    "weighted_perplexity": ", nats per word or byte",
    "bits_per_byte": "",
}
"""Names of values that differ from lm-eval's own, by aggregation."""


def measure_of(data: str, task: HarnessTask, metric: Metric) -> Measure:
    """Return the measure of a metric, with the artifact of its data; of a perplexity it is the logarithm."""
    percent = metric.name in FRACTIONS
    flags = percent and all(unit.numerator in (0.0, 1.0) for unit in units_of(task, metric))
    return Measure(
        name=measure_name(task.name, metric.name, metric.filter),
        label=f"{task.name}: {_metric_label(metric.name, metric.filter)}{UNITS[metric.aggregation]}",
        unit="documents",
        data=data,
        lower_is_better=not metric.higher_is_better,
        total=task.in_task,
        percent=percent,
        interval="wilson" if flags else "bootstrap",
        change="points" if percent else None if metric.aggregation == "mean" else "relative",
    )


def group_measure(data: str, result: Harness, group: GroupScore) -> Measure:
    """Return the measure of a group: the mean over documents, or over tasks."""
    tasks = [task for task in result.tasks if task.name in group.tasks]
    first = next(one for one in tasks[0].metrics if (one.name, one.filter) == (group.name, group.filter))
    percent = group.name in FRACTIONS
    return Measure(
        name=measure_name(group.group, group.name, group.filter),
        label=f"{group.group}: {_metric_label(group.name, group.filter)}",
        unit="documents",
        data=data,
        lower_is_better=not first.higher_is_better,
        total=sum(task.in_task for task in tasks),
        percent=percent,
        change="points" if percent else None,
    )


def measure_name(task: str, metric: str, kind: str) -> str:
    """Return the stable name of a measure; the filter ``none`` is left out."""
    return f"{NAME}.{task}.{metric}" + ("" if kind == "none" else f".{kind}")


def section_of(evidence: Evidence[Harness]) -> Section:
    """Describe scores by task and group, what changed clearly, and lm-eval's own numbers."""
    results = evidence.results
    first = next(iter(results.values()))
    tables = [Table("Task", list(_rows(evidence, first)), notes=[*_notes(results), *_others(results)])]
    return Section(
        title="Tasks of lm-eval",
        tables=tables,
        verdicts=_verdicts(evidence),
        methods=METHODS,
        facts={
            f"{NAME}.version": {model: result.version for model, result in results.items()},
            f"{NAME}.tasks": {task.name: _task_facts(results, task) for task in first.tasks},
            f"{NAME}.groups": {
                model: [group.model_dump(mode="json") for group in result.groups] for model, result in results.items()
            },
        },
    )


def _rows(evidence: Evidence[Harness], first: Harness) -> Iterator[TableRow]:
    """Yield a row for each metric, with the number of documents; groups come last."""
    entries = [
        (measure_name(task.name, metric.name, metric.filter), f", {task.shots} shots", False)
        for task in first.tasks
        for metric in task.metrics
    ]
    entries += [(measure_name(one.group, one.name, one.filter), "", True) for one in first.groups]
    for name, shots, is_total in entries:
        if name in evidence.comparisons:
            comparison = evidence.comparisons[name]
            unit = ", %" if comparison.measure.percent else ""
            label = f"{comparison.measure.label}{unit} ({comparison.units} documents{shots})"
            yield TableRow(label, [name], is_total=is_total)


def _notes(results: Mapping[str, Harness]) -> list[str]:
    versions = sorted({result.version for result in results.values()})
    notes = [f"lm-eval {', '.join(versions)}; prompts are plain text for every model, and answers are greedy."]
    for model, result in results.items():
        cut = {task.name: task.truncated for task in result.tasks if task.truncated}
        if cut:
            counts = ", ".join(f"{name} {count}" for name, count in cut.items())
            notes.append(f"Prompts of {model} that lost their beginning, because its context is too short: {counts}.")
    return notes


def _others(results: Mapping[str, Harness]) -> list[str]:
    """Return lm-eval's scores that are no ratio of sums, without intervals."""
    values: dict[str, dict[str, str]] = {}
    for model, result in results.items():
        for task in result.tasks:
            for metric in (metric for metric in task.metrics if metric.aggregation == "other"):
                label = f"{task.name}: {_metric_label(metric.name, metric.filter)} ({len(task.documents)} documents)"
                error = "" if metric.stderr is None else f" ± {number(metric.stderr)}"
                values.setdefault(label, {})[model] = f"{model} {number(metric.value)}{error}"
    return [f"{label}, by lm-eval with its standard error: {', '.join(own.values())}." for label, own in values.items()]


def _verdicts(evidence: Evidence[Harness]) -> list[Verdict]:
    """Answer whether scores changed clearly from the base model to the shipped one; no answer without enough units."""
    base, shipped = evidence.adapted.base, evidence.adapted.shipped
    if base is None or shipped is None or base == shipped:
        return []
    step = (base, shipped)
    changes = {
        name: outcome(comparison, comparison.changes[step])
        for name, comparison in evidence.comparisons.items()
        if comparison.measure.change is not None and step in comparison.changes and comparison.units >= MIN_UNITS
    }
    if not changes:
        return []
    worse, better = (
        [
            f"{evidence.comparisons[name].measure.label} {value_of(evidence.comparisons[name], base)} to "
            f"{value_of(evidence.comparisons[name], shipped)}"
            for name, found in changes.items()
            if found == wanted
        ]
        for wanted in ("bad", "good")
    )
    parts = [
        *([f"worse is {'; '.join(worse)}"] if worse else []),
        *([f"better is {'; '.join(better)}"] if better else []),
    ]
    counted = f"{len(changes)} score{'s' if len(changes) > 1 else ''}"
    if not parts:
        return [
            Verdict("lm-eval", "open", f"None of {counted} changed clearly from {base} to {shipped}.", tuple(changes))
        ]
    sentence = f"Of {counted} from {base} to {shipped}, {', and '.join(parts)}."
    reached: Outcome = "bad" if worse and not better else "part" if worse else "good"
    return [Verdict("lm-eval", reached, sentence, tuple(changes))]


def _task_facts(results: Mapping[str, Harness], task: HarnessTask) -> dict[str, Any]:
    own = {model: next(one for one in result.tasks if one.name == task.name) for model, result in results.items()}
    return {
        "version": task.version,
        "config": task.config,
        "output_type": task.output_type,
        "shots": task.shots,
        "documents": len(task.documents),
        "in_task": task.in_task,
        "truncated": {model: one.truncated for model, one in own.items()},
        "scores": {
            metric.key: {
                model: {"value": other.value, "stderr": other.stderr}
                for model, one in own.items()
                for other in one.metrics
                if other.key == metric.key
            }
            for metric in task.metrics
        },
    }


def _metric_label(metric: str, kind: str) -> str:
    return metric.replace("_", " ") + ("" if kind == "none" else f" ({kind})")


METHODS = (
    Method(
        "Tasks of lm-eval",
        "Prompts, requests, filters and metrics are those of lm-eval; log-likelihoods and answers are computed as by "
        "its Hugging Face backend. A score is the mean over documents of lm-eval's value of each, or a ratio of sums. "
        "Intervals and tests are those of this report, over documents; report.json also has the score and the standard "
        "error that lm-eval states. A perplexity is shown as its logarithm:",
        "ln perplexity = −∑ ln p(text) ÷ number of documents, words or bytes",
        "A group counts each of its tasks by its documents, or all tasks the same, as it states. Scores that are no "
        "ratio of sums, such as BLEU or F1 over all documents, have no interval.",
    ),
)
