"""Other forms of the evaluation report: ``report.md`` for readers, two tables as CSV for programs."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from tapeout.evals.section import Table
from tapeout.evals.wording import SPACE, interval_of, percent, value_of
from tapeout.report.evaluation import summary
from tapeout.report.evaluation.findings import Findings
from tapeout.report.evaluation.gates import GateResult
from tapeout.report.evaluation.report import EvaluationReport
from tapeout.report.page.markdown import cell

DIGITS = 6
"""Decimal digits of every float, as in report.json."""
MARKS = {"good": "✓", "part": "◐", "open": "?", "bad": "✗"}


def write_forms(report: EvaluationReport, gates: Sequence[GateResult], folder: Path) -> None:
    """Write all of them into the folder of the report."""
    (folder / "report.md").write_text("\n".join(_markdown(report, gates)), encoding="utf-8")
    (folder / "measures.csv").write_text(_csv(_measures(report)), encoding="utf-8")
    (folder / "changes.csv").write_text(_csv(_changes(report)), encoding="utf-8")


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV (RFC 4180), with a line of names; empty without rows."""
    text, writer = StringIO(), None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row))
            writer.writeheader()
        writer.writerow(
            {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in row.items()}
        )
    return text.getvalue()


def _measures(report: EvaluationReport) -> Iterator[dict[str, Any]]:
    """Yield a row for each measure and model: its value and interval, and the value on clean units."""
    for name, one in report.comparisons.items():
        for model, value in one.values.items():
            clean = report.clean[name].values.get(model) if name in report.clean else None
            yield {
                **{"measure": name, "label": one.measure.label, "model": model, "unit": one.measure.unit},
                **{"units": one.units, "of": one.measure.total, "lower_is_better": one.measure.lower_is_better},
                **{"value": value.value, "low": value.low, "high": value.high, "interval": value.interval},
                "value_on_clean_units": None if clean is None else clean.value,
            }


def _changes(report: EvaluationReport) -> Iterator[dict[str, Any]]:
    """Yield a row for each measure whose change is stated and each two models."""
    for name, one in report.comparisons.items():
        for (before, after), change in one.changes.items() if one.measure.change is not None else ():
            relative = one.relative.get((before, after))
            yield {
                **{"measure": name, "label": one.measure.label, "before": before, "after": after, "units": one.units},
                **{"change": change.value, "low": change.low, "high": change.high},
                "relative_change": None if relative is None else relative.value,
                **{"test": change.test, "p": change.p, "corrected": change.corrected, "clear": change.clear},
            }


def _markdown(report: EvaluationReport, gates: Sequence[GateResult]) -> Iterator[str]:
    confidence = percent(report.job.confidence, 0)
    yield f"# {cell(report.headline(gates))}\n"
    if report.answer:
        yield f"{_whole(report.answer)}\n"
    if cost := summary.cost(report.job):
        yield f"Cost: {cost}\n"
    for gate in gates:
        if not gate.passed:
            yield f"- ✗ **Gate {cell(gate.gate)}**: {gate.measured}; the limit is {cell(gate.limit)}"
    for verdict in report.verdicts:
        yield f"- {MARKS[verdict.outcome]} **{cell(verdict.question)}**: {_whole(verdict.sentence)}"
    yield from _findings(report.findings)
    yield "\n| model | artifact | parameters | vocabulary | context |\n|---|---|--:|--:|--:|"
    for name, facts in report.facts.items():
        sizes = f"{facts.parameters:,} | {facts.vocabulary:,} | {facts.context:,}"
        yield f"| {cell(name)} | {cell(report.models[name])} | {sizes} |"
    for section in report.sections:
        yield f"\n## {cell(section.title)}\n"
        for table in section.tables:
            yield from _table(report, table)
    for changes in report.changes:
        yield f"\n## Changes: {cell(changes.title)}\n"
        yield f"| measure | models | change | {confidence} interval | p, corrected | verdict |"
        yield "|---|---|--:|---|--:|---|"
        for line in changes.lines:
            texts = (line.measure, line.step, line.change, line.interval, line.corrected, line.verdict)
            yield f"| {' | '.join(map(cell, texts))} |"
    yield f"\nIntervals are {confidence} intervals. Action {report.action}."
    yield "report.json has every number with the digests of the artifacts that it was computed from, measures.csv and"
    yield "changes.csv have the tables, and report.html is the page.\n"


def _findings(findings: Findings) -> Iterator[str]:
    """Yield a list for each kind of finding that there is."""
    for title, listed in (("What got better", findings.better), ("What got worse", findings.worse)):
        if listed:
            yield f"\n## {title}\n"
        for finding in listed:
            further = "; ".join([*finding.parts, *finding.too_few])
            parts = f" ({further})" if further else ""
            yield f"- {finding.change}: {_whole(finding.label + parts)}"
    if findings.suggestions:
        yield "\n## What to try next\n"
    for suggestion in findings.suggestions:
        words = suggestion.text.split("`")
        text = "`".join(word if index % 2 else _whole(word) for index, word in enumerate(words))
        yield f"- {text} {_whole(suggestion.finding)}"


def _table(report: EvaluationReport, table: Table) -> Iterator[str]:
    """Yield a table of a section: a line for each row, a column for each group and model."""
    columns = [f"{group}{' · ' if group else ''}{model}" for group in table.groups for model in report.models]
    yield f"| {cell(table.heading)} | {' | '.join(map(cell, columns))} | units |"
    yield f"|---|{'--:|' * len(columns)}--:|"
    for row in table.rows:
        shown = [report.comparisons[measure] for measure in row.measures]
        values = [
            f"{value_of(one, model)}{f'{SPACE}%' if one.measure.percent else ''} ({interval_of(one, model)})"
            for one in shown
            for model in report.models
        ]
        yield f"| {cell(row.label)} | {' | '.join(values)} | {shown[0].units:,} {shown[0].measure.unit} |"
    yield "".join(f"\n{_whole(note)}\n" for note in table.notes)


def _whole(text: str) -> str:
    """Return a sentence of the report, which contains names from data, in full."""
    return " ".join(cell(word) for word in text.split(" "))
