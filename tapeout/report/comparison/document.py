"""A comparison of evaluation reports as a value, a Markdown summary and a page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tapeout.evals.wording import SPACE, interval_of, percent, value_of
from tapeout.report.comparison.curves import draw
from tapeout.report.comparison.scores import AFTER, BEFORE, ModelComparison
from tapeout.report.page.markdown import EXCERPT, cell
from tapeout.report.page.render import render

SCHEMA = "tapeout.report-comparison/1"
SHOWN = 20
"""Rows of an input, and answers, that the summary and the page name; the JSON has all."""


@dataclass(frozen=True)
class Origin:
    """An artifact in which a difference of the reports originates.

    Attributes:
        artifact: its name.
        changes: differences of its code, parameters, environment and inputs, in words.
        rows: rows of its files that differ, in words.
        tasks: tasks whose results for the shipped model are made from it, and differ.
    """

    artifact: str
    changes: Sequence[str]
    rows: Sequence[str]
    tasks: Sequence[str]


@dataclass(frozen=True)
class ReportComparison:
    """Two evaluation reports.

    Attributes:
        before, after: how the user names them.
        confidence: coverage of the intervals.
        origins: artifacts in which differences originate, in build order.
        models: the shipped models first.
    """

    before: str
    after: str
    confidence: float
    origins: Sequence[Origin]
    models: Sequence[ModelComparison]

    @property
    def shipped(self) -> ModelComparison | None:
        """The comparison of the shipped models; None if a report judges none."""
        return next((models for models in self.models if models.is_shipped), None)

    @property
    def headline(self) -> str:
        """One sentence: which numbers of the shipped model moved."""
        shipped = self.shipped
        if shipped is None:
            return "The reports do not judge a model each, so there is no headline number to compare."
        total = len(shipped.lines)
        if not total:
            return "No headline number can be compared."
        if shipped.is_same:
            return f"All {total} headline numbers are the same."
        if not shipped.moved:
            return f"No headline number moved significantly, of {total} compared."
        named = "; ".join(f"{line.measure} {line.change}, {line.verdict}" for line in shipped.moved)
        return f"{len(shipped.moved)} of {total} headline numbers moved significantly: {named}."

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            **{"before": self.before, "after": self.after, "headline": self.headline, "confidence": self.confidence},
            "origins": [asdict(origin) for origin in self.origins],
            "models": [_model_as_json(models) for models in self.models],
        }


def _model_as_json(models: ModelComparison) -> dict[str, Any]:
    measures = {
        name: {
            **{"label": one.measure.label, "unit": one.measure.unit, "units": one.units},
            **{key: asdict(one.values[key]) for key in (BEFORE, AFTER)},
            "change": asdict(one.changes[BEFORE, AFTER]),
            "relative_change": asdict(one.relative[BEFORE, AFTER]) if one.relative else None,
            "is_headline": models.is_shipped and one.measure.change is not None,
        }
        for name, one in models.comparisons.items()
    }
    return {
        **{"before": models.before, "after": models.after, "shipped": models.is_shipped, "measures": measures},
        "answers": [asdict(answer) for answer in models.answers],
        "not_compared": dict(models.left_out),
        "compared_in_part": dict(models.partial),
    }


def rows_of(models: ModelComparison) -> list[dict[str, str]]:
    """Return the table of changes with the values of both sides, as text."""
    stated = [one for one in models.comparisons.values() if one.measure.change is not None]
    partial = {name: overlap.text for name, overlap in models.overlaps.items() if overlap.is_partial}
    return [
        {
            **{"measure": line.measure, "units": partial.get(one.measure.name, line.units)},
            **{"outcome": line.outcome, "verdict": line.verdict},
            **{key: value_of(one, key) + (f"{SPACE}%" if one.measure.percent else "") for key in (BEFORE, AFTER)},
            **{f"{key}_interval": interval_of(one, key) for key in (BEFORE, AFTER)},
            **{"change": line.change, "interval": line.interval, "p": line.corrected},
        }
        for one, line in zip(stated, models.lines, strict=True)
    ]


def instead_of_table(models: ModelComparison) -> str:
    """Return the sentence that stands for a table; empty if the table has to be shown, or ``notes`` say all."""
    if not models.lines:
        return "" if models.left_out else f"{models.title}: no number can be compared."
    if models.is_same and not models.is_shipped:
        return f"{models.title}: all {len(models.lines)} numbers are the same."
    return ""


def notes(models: ModelComparison, shown: Callable[[str], str] = str) -> list[str]:
    """Return sentences on test data that both models share in part, and on what is not compared.

    Args:
        models: two models.
        shown: makes names fit for the form of the output.
    """
    title = shown(models.title)
    return [
        *(f"Compared in part: {title} in {shown(name)}, on the {text}." for name, text in models.partial),
        *(
            f"Not compared: {title} in {shown(name)}, because {shown(reason)}."
            for name, reason in models.left_out.items()
        ),
    ]


def as_json(comparisons: Sequence[ReportComparison]) -> dict[str, Any]:
    """Return comparisons of one report with others as the content of ``comparison.json``."""
    return {"schema": SCHEMA, "comparisons": [one.as_json() for one in comparisons]}


def markdown(comparisons: Sequence[ReportComparison]) -> str:
    """Return a summary for a pull request."""
    return "\n".join(line for one in comparisons for line in _markdown(one))


def _markdown(one: ReportComparison) -> list[str]:
    lines = [f"### Evaluation: `{one.before}` → `{one.after}`", "", f"**{cell(one.headline)}**", ""]
    lines += ["Differences originate in:" if one.origins else "The reports have the same inputs.", ""]
    for origin in one.origins:
        reaches = f", which reaches {', '.join(origin.tasks)}" if origin.tasks else ", which changed no result"
        lines.append(f"- `{origin.artifact}`{reaches}")
        lines += [f"  - {cell(text)}" for text in _cut([*origin.changes, *origin.rows])]
    for models in one.models:
        lines += ["", *_table(one, models)]
        if models.is_shipped and models.answers:
            wrong = len(models.answers) - models.became_right
            lines += ["", f"{models.became_right} answers became right, {wrong} wrong:", ""]
            lines += _cut(
                f"- {'✓' if answer.is_better else '✗'} {cell(answer.measure)}: {cell(answer.asked)}"
                for answer in models.answers
            )
        lines += [f"\n{note}" for note in notes(models, cell)]
    return [*lines, ""]


def _table(one: ReportComparison, models: ModelComparison) -> list[str]:
    if sentence := instead_of_table(models):
        return [cell(sentence)]
    if not models.lines:
        return []
    heading = f"| {cell(models.title)}{', the shipped model' if models.is_shipped else ''} | "
    return [
        f"{heading}{one.before} | {one.after} | change | {percent(one.confidence, 0)} interval | p | |",
        "|---|--:|--:|--:|---|--:|---|",
        *(
            f"| {cell(row['measure'])} | {row[BEFORE]} | {row[AFTER]} | {row['change']} | {row['interval']} | "
            f"{row['p']} | {row['verdict']} |"
            for row in rows_of(models)
        ),
    ]


def _cut(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = len(every) - SHOWN
    return [*every[:SHOWN], *([f"- … and {more} more"] if more > 0 else [])]


def page(comparisons: Sequence[ReportComparison]) -> str:
    """Return the page: one file without references to others."""
    context = {"comparisons": comparisons, "shown": SHOWN, "before": BEFORE, "after": AFTER}
    filters: dict[str, Callable[..., Any]] = {"rows_of": rows_of, "excerpt": excerpt, "curves": curves}
    filters |= {"notes": notes, "instead_of_table": instead_of_table}
    return render(Path(__file__).with_name("page.html.j2"), context, filters)


def excerpt(text: str) -> str:
    """Return the beginning of a text that may be long."""
    return text if len(text) <= 4 * EXCERPT else f"{text[: 4 * EXCERPT]}…"


def curves(models: ModelComparison, one: ReportComparison) -> Markup:
    """Return the training losses of both models over each other; nothing if one of them has none, or they are equal."""
    if models.logs is None or models.logs[0] == models.logs[1]:
        return Markup("")
    return draw(f"Training of {models.title}", list(zip((one.before, one.after), models.logs, strict=True)))
