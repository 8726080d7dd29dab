"""A comparison of evaluation reports as a value, a Markdown summary and a page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tapeout.evals.wording import SPACE, interval_of, percent, value_of
from tapeout.report.comparison.curves import draw
from tapeout.report.comparison.scores import AFTER, BEFORE, ModelComparison
from tapeout.report.page.markdown import EXCERPT, cell, inline
from tapeout.report.page.render import render

SCHEMA = "tapeout.report-comparison/1"
SHOWN = 20
"""Changes of an input, and answers, that the summary and the page name; the JSON has all."""
SHOWN_ROWS = 4
"""Rows that stand for too many; the first one is their count."""
SHOWN_FILES = 3
"""Files of code of an artifact that they name."""
INSIDE = ("report.json", "eval_report", "results")
"""Ends of the path of a report that say nothing about it."""


@dataclass(frozen=True)
class Origin:
    """An artifact in which a difference of the reports originates.

    Attributes:
        artifact: its name.
        changes: differences of its parameters, packages and inputs, in words and in this order.
        rows: rows of its files that differ, in words; a count of them before, if there are several.
        tasks: tasks whose results for the shipped model are made from it, and differ.
        code: definitions of its code that differ, each as ``FILE`` or ``FILE: NAME``.
    """

    artifact: str
    changes: Sequence[str]
    rows: Sequence[str]
    tasks: Sequence[str]
    code: Sequence[str] = ()

    @property
    def causes(self) -> list[str]:
        """Parameters, packages and rows as far as there is room, then the files of the code."""
        fits = len(self.changes) + len(self.rows) <= SHOWN
        texts = [*self.changes[:SHOWN], *(self.rows if fits else self.rows[:SHOWN_ROWS])]
        more = len(self.changes) + len(self.rows) - len(texts)
        files = list(dict.fromkeys(definition.partition(":")[0] for definition in self.code))
        named = ", ".join(files[:SHOWN_FILES]) + (", …" if len(files) > SHOWN_FILES else "")
        return [
            *texts,
            *([f"… and {more} more, which the JSON has"] if more > 0 else []),
            *([f"code of {len(files)} file{'s' if len(files) > 1 else ''}: {named}"] if files else []),
        ]


@dataclass(frozen=True)
class ReportComparison:
    """Two evaluation reports.

    Attributes:
        before, after: how the user names them.
        confidence: coverage of the intervals.
        origins: artifacts in which differences originate, in build order, those that reach a result first.
        models: the shipped models first.
        only_before, only_after: artifacts that one of the reports alone is made from, in build order.
    """

    before: str
    after: str
    confidence: float
    origins: Sequence[Origin]
    models: Sequence[ModelComparison]
    only_before: Sequence[str] = ()
    only_after: Sequence[str] = ()

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
        verdicts = {
            verdict: [one for one in shipped.moved if one.verdict == verdict] for verdict in ("better", "worse")
        }
        named = "; ".join(
            f"{verdict}: {', '.join(f'{line.measure} {line.change}' for line in lines)}"
            for verdict, lines in verdicts.items()
            if lines
        )
        return f"{len(shipped.moved)} of {total} headline numbers moved significantly – {named}."

    @property
    def tone(self) -> str:
        """Class of the colour of the headline: ``part`` if some numbers are better and some worse."""
        outcomes = {line.outcome for line in self.shipped.moved} if self.shipped is not None else set()
        return "part" if len(outcomes) > 1 else next(iter(outcomes), "open")

    @property
    def names(self) -> tuple[str, str]:
        """Short names of both reports: of a path the folder of its project; ``before`` and ``after`` if they clash."""
        before, after = (_short(name) for name in (self.before, self.after))
        return (before, after) if before and after and before != after else (BEFORE, AFTER)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Short names with the full ones, where they differ."""
        return [pair for pair in zip(self.names, (self.before, self.after), strict=True) if pair[0] != pair[1]]

    @property
    def reaching(self) -> list[Origin]:
        """Origins from which results of the shipped model follow that differ."""
        return [origin for origin in self.origins if origin.tasks]

    @property
    def idle(self) -> list[str]:
        """Artifacts of all other origins."""
        return [origin.artifact for origin in self.origins if not origin.tasks]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            **{"before": self.before, "after": self.after, "headline": self.headline, "confidence": self.confidence},
            "origins": [asdict(origin) for origin in self.origins],
            "models": [_model_as_json(models) for models in self.models],
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }


def _short(name: str) -> str:
    """Return the last folder of a path that tells reports apart, empty if there is none; another name as it is."""
    if not name.startswith(("./", "../", "/")):
        return name
    return next((part for part in reversed(Path(name).parts) if part not in (*INSIDE, "/", "..")), "")


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


def one_sided(one: ReportComparison, shown: Callable[[str], str] = str) -> list[str]:
    """Return sentences on the artifacts that one of the reports alone is made from, without markup by ``shown``."""
    return [
        f"Only {shown(name)} is made from: {', '.join(map(shown, artifacts[:SHOWN]))}"
        + (f", and {len(artifacts) - SHOWN} more." if len(artifacts) > SHOWN else ".")
        for name, artifacts in zip(one.names, (one.only_before, one.only_after), strict=True)
        if artifacts
    ]


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
    lines = [f"### Evaluation: {cell(one.names[0])} → {cell(one.names[1])}", ""]
    lines += [f"- Report {cell(short)}: {inline(full)}" for short, full in one.legend] + [""] * bool(one.legend)
    lines += [f"**{inline(one.headline)}**"]
    for models in one.models:
        lines += ["", *_table(one, models)]
        if models.is_shipped and models.answers:
            wrong = len(models.answers) - models.became_right
            lines += ["", f"{models.became_right} answers became right, {wrong} wrong:", ""]
            lines += _cut(
                f"- {'✓' if answer.is_better else '✗'} {cell(answer.measure)}: {cell(answer.asked)}"
                for answer in models.answers
            )
        lines += [f"\n{note}" for note in notes(models, inline)]
    lines += ["", "Differences originate in:" if one.reaching else "No result follows from a difference of the inputs."]
    lines += [""] * bool(one.reaching)
    for origin in one.reaching:
        lines.append(f"- {inline(origin.artifact)}, which reaches {inline(', '.join(origin.tasks))}")
        lines += [f"  - {cell(text)}" for text in origin.causes]
    lines += (
        ["", f"Changed too, without an effect on these results: {inline(', '.join(one.idle))}."] if one.idle else []
    )
    for sentence in one_sided(one, inline):
        lines += ["", sentence]
    return [*lines, ""]


def _table(one: ReportComparison, models: ModelComparison) -> list[str]:
    if sentence := instead_of_table(models):
        return [inline(sentence)]
    if not models.lines:
        return []
    heading = f"| {cell(models.title)}{', the shipped model' if models.is_shipped else ''} | "
    before, after = map(cell, one.names)
    return [
        f"{heading}{before} | {after} | change | {percent(one.confidence, 0)} interval | p | |",
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
    filters |= {"notes": notes, "one_sided": one_sided, "instead_of_table": instead_of_table}
    return render(Path(__file__).with_name("page.html.j2"), context, filters)


def excerpt(text: str) -> str:
    """Return the beginning of a text that may be long."""
    return text if len(text) <= 4 * EXCERPT else f"{text[: 4 * EXCERPT]}…"


def curves(models: ModelComparison, one: ReportComparison) -> Markup:
    """Return the training losses of both models over each other; nothing if one of them has none, or they are equal."""
    if models.logs is None or models.logs[0] == models.logs[1]:
        return Markup("")
    return draw(f"Training of {models.title}", list(zip(one.names, models.logs, strict=True)))
