"""Data report: ``report.json`` and ``report.html`` from the inspections of all sets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.config.inspection import DataReportJob
from tapeout.config.instructions import SPLITS
from tapeout.data.io.jsonl import write_json
from tapeout.data.io.ngrams import spans_of
from tapeout.inspection.data_summary import DataSummary, is_selected
from tapeout.inspection.gates import Gate, measure_gates
from tapeout.inspection.overlap import Ranges, RowOverlap
from tapeout.inspection.rows import read_rows, text_of
from tapeout.report.page.render import render

MAX_TABLE_ROWS = 12
"""Entries of a table of counts that are shown; the others are summed up."""
MAX_CHARACTERS = 900
"""Characters of a test row that are shown."""
LEADING_CHARACTERS = 80
"""Characters of a test row that are shown before the first overlap."""


@dataclass(frozen=True)
class TextPart:
    """Part of a text; ``overlaps`` if the training set has it."""

    text: str
    overlaps: bool


def write_numbers(summary: DataSummary, job: DataReportJob, path: Path) -> None:
    """Write the numbers as JSON; the step ``gates`` reads them."""
    settings = job.settings
    contamination = {
        training: {
            name: {
                **size,
                "contaminated": sum(
                    row.fraction >= settings.min_overlap for row in summary.overlaps[training].get(name, [])
                ),
                "largest": [
                    {"digest": row.digest, "fraction": row.fraction, "best": dict(row.best)}
                    for row in summary.overlaps[training].get(name, [])[: settings.max_examples]
                ],
            }
            for name, size in measures["test_sets"].items()
        }
        for training, measures in summary.measures.items()
    }
    sets = {
        name: {key: value for key, value in measures.items() if key != "test_sets"}
        for name, measures in summary.measures.items()
    }
    steps = {
        step: {"kept": counts.kept, "dropped": dict(counts.dropped), "changed": dict(counts.changed)}
        for step, counts in summary.steps.items()
    }
    gates = [gate.as_json() for gate in measure_gates(summary, settings)]
    write_json(path, {"sets": sets, "contamination": contamination, "steps": steps, "gates": gates})


def write_page(summary: DataSummary, job: DataReportJob, tests: Sequence[Path], path: Path) -> None:
    """Write the page; ``tests`` are the files of ``job.tests``, in which test rows are looked up."""
    settings = job.settings
    gates = list(measure_gates(summary, settings))
    contaminated = {
        (training, name): rows[: settings.max_examples]
        for training, sets in summary.overlaps.items()
        for name, overlaps in sets.items()
        if (rows := [row for row in overlaps if row.fraction >= settings.min_overlap])
    }
    overlapping = {"contaminated": contaminated, "closest": closest(summary, settings.min_overlap)}
    wanted = {(name, row.digest) for pairs in overlapping.values() for (_, name), rows in pairs.items() for row in rows}
    texts = find_texts(tests, job.tests, wanted)
    overviews = {training: overview(summary, gates, training) for training in summary.measures}
    sizes = {name: next((sets[name] for sets in overviews.values() if name in sets), None) for name in job.tests}
    context = {
        "summary": summary,
        "settings": settings,
        "splits": SPLITS,
        "gates": gates,
        "failed": [gate for gate in gates if not gate.passed],
        "unmeasured": [gate for gate in gates if not gate.measured],
        "stopping": [gate for gate in gates if not gate.passed and gate.artifact in job.trained],
        "tests": dict(sorted(sizes.items())),
        "overview": overviews,
        **{
            kind: {
                pair: [(row, marked(texts[pair[1], row.digest], row.ranges, settings.ngram_words)) for row in rows]
                for pair, rows in pairs.items()
            }
            for kind, pairs in overlapping.items()
        },
    }
    filters: dict[str, Callable[..., Any]] = {
        "largest": largest,
        "piece": piece,
        "bound": bound,
        "histogram": histogram,
        "is_selected": is_selected,
    }
    path.write_text(render(Path(__file__).with_name("page.html.j2"), context, filters), encoding="utf-8")


def overview(summary: DataSummary, gates: Iterable[Gate], training: str) -> dict[str, dict[str, Any]]:
    """Return sizes, gate and largest overlap of each test set, for a training set."""
    own = [gate for gate in gates if gate.gate == "contaminated" and gate.artifact == training]
    rows = {}
    for (name, size), gate in zip(summary.measures[training]["test_sets"].items(), own, strict=True):
        largest_overlap = max((row.fraction for row in summary.overlaps[training].get(name, [])), default=0.0)
        rows[name] = {**size, "gate": gate, "largest": largest_overlap}
    return rows


def closest(summary: DataSummary, min_overlap: float) -> dict[tuple[str, str], list[RowOverlap]]:
    """Return the test row with the largest overlap that is no contamination, by its training set and test set.

    Of equal ones it is that with the smallest digest. Empty if no other test row shares an n-gram with a training set.
    """
    below = [
        ((training, name), row)
        for training, sets in summary.overlaps.items()
        for name, rows in sets.items()
        for row in rows
        if row.fraction < min_overlap and row.ranges
    ]
    best = sorted(below, key=lambda found: (-found[1].fraction, found[1].digest, found[0]))[:1]
    return {pair: [row] for pair, row in best}


def find_texts(files: Sequence[Path], names: Iterable[str], wanted: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the texts of test rows by set and digest."""
    return {
        (name, row["digest"]): text_of(row)
        for name, file in zip(names, files, strict=True)
        if any(name == wanted_name for wanted_name, _ in wanted)
        for row in read_rows(file)
        if (name, row["digest"]) in wanted
    }


def marked(text: str, ranges: Ranges, length: int) -> list[TextPart]:
    """Cut a text, from shortly before the first overlap on, into parts that overlap and parts that do not."""
    spans = spans_of(text)
    overlaps: list[tuple[int, int]] = []
    for first, last in ranges:
        start, end = spans[first][0], spans[min(last + length, len(spans)) - 1][1]
        if overlaps and start <= overlaps[-1][1]:
            overlaps[-1] = overlaps[-1][0], max(end, overlaps[-1][1])
        else:
            overlaps.append((start, end))
    begin = max(overlaps[0][0] - LEADING_CHARACTERS, 0)
    stop = min(begin + MAX_CHARACTERS, len(text))
    parts = [TextPart("… ", False)] if begin else []
    position = begin
    for start, end in overlaps:
        if start >= stop:
            break
        parts += [TextPart(text[position:start], False), TextPart(text[start : min(end, stop)], True)]
        position = min(end, stop)
    parts.append(TextPart(text[position:stop], False))
    if stop < len(text):
        parts.append(TextPart(" …", False))
    return [part for part in parts if part.text]


def largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the largest counts, and the sum of all others."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[MAX_TABLE_ROWS:])
    return [*ranked[:MAX_TABLE_ROWS], *([(f"{len(ranked) - MAX_TABLE_ROWS} others", rest)] if rest else [])]


def histogram(lengths: Mapping[str, int]) -> list[tuple[int, int, float]]:
    """Return upper bound, rows and relative height of each bar, without gaps."""
    if not lengths:
        return []
    bounds = sorted(map(int, lengths))
    highest = max(lengths.values())
    upper, bars = bounds[0], []
    while upper <= bounds[-1]:
        count = lengths.get(str(upper), 0)
        bars.append((upper, count, count / highest))
        upper *= 2
    return bars


def bound(value: int) -> str:
    """Return a length, in multiples of 1024 if it is that long."""
    return f"{value // 1024}k" if value >= 1024 else str(value)


def piece(text: str) -> str:
    """Return the text of a token with a visible mark for a line feed."""
    return text.replace("\n", "⏎\n")
