"""``report.html`` and ``report.json`` of the data."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.inspection import ReportJob
from tapeout.config.instructions import SPLITS
from tapeout.inspection.data_summary import Whole
from tapeout.inspection.rows import rows_of, text_of
from tapeout.report.data.excerpt import marked
from tapeout.report.page.render import render

WORD_MARK = "\u2581"
TOP = 12
"""Entries of a table of counts that are shown; the others are added up."""


def numbers(whole: Whole, job: ReportJob) -> dict[str, Any]:
    """What programs read; ``gates`` decides whether a training may begin."""
    contamination = {
        training: {
            name: {
                "rows": size["rows"],
                "too short to look for": size["too short to look for"],
                "mostly form": size["mostly form"],
                "held": sum(row.share >= job.looking.covered for row in whole.held[training].get(name, [])),
                "worst": [
                    {"digest": row.digest, "share": row.share, "best": dict(row.best)}
                    for row in whole.held[training].get(name, [])[: job.looking.shown]
                ],
            }
            for name, size in measures["looked for"].items()
        }
        for training, measures in whole.measures.items()
    }
    return {
        "sets": {name: {**each, "looked for": None} for name, each in whole.measures.items()},
        "contamination": contamination,
        "drops": {
            step: {"kept": each.kept, "dropped": dict(each.dropped), "changed": dict(each.changed)}
            for step, each in whole.drops.items()
        },
        "gates": [gate.report() for gate in whole.gates],
    }


def page(whole: Whole, job: ReportJob, tests: Sequence[Path]) -> str:
    """The page; test rows that are shown are looked up in ``tests``, one file for each of ``job.tests``."""
    offending = {
        (training, name): rows[: job.looking.shown]
        for training, sets in whole.held.items()
        for name, each in sets.items()
        if (rows := [row for row in each if row.share >= job.looking.covered])
    }
    texts = find(tests, job.tests, {(name, row.digest) for (_, name), rows in offending.items() for row in rows})
    context = {
        "whole": whole,
        "job": job,
        "sides": SPLITS,
        "failed": [gate for gate in whole.gates if not gate.passed],
        "stopping": [gate for gate in whole.gates if not gate.passed and gate.where in job.trained],
        "tests": sorted(set(job.tests)),
        "held": {training: {row["set"]: row for row in overview(whole, training)} for training in whole.measures},
        "offending": {
            pair: [(row, marked(texts[pair[1], row.digest], row.runs, job.looking.words)) for row in rows]
            for pair, rows in offending.items()
        },
    }
    filters: dict[str, Callable[..., Any]] = {"top": top, "piece": piece, "border": border, "histogram": histogram}
    return render(Path(__file__).with_name("page.html.j2"), context, filters)


def overview(whole: Whole, training: str) -> Iterator[dict[str, Any]]:
    """What a training set holds of each test set: rows, those too short to look for, the bounds and what was found."""
    gates = [gate for gate in whole.gates if gate.gate == "contaminated" and gate.where == training]
    for (name, size), gate in zip(whole.measures[training]["looked for"].items(), gates, strict=True):
        most = max((row.share for row in whole.held[training].get(name, [])), default=0.0)
        yield {"set": name, **size, "gate": gate, "most": most}


def find(files: Sequence[Path], names: Iterable[str], wanted: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Texts of test rows by set and digest."""
    return {
        (name, row["digest"]): text_of(row)
        for name, file in zip(names, files, strict=True)
        if any(name == each for each, _ in wanted)
        for row in rows_of(file)
        if (name, row["digest"]) in wanted
    }


def top(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The greatest counts, and the sum of all others."""
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    rest = sum(count for _, count in ranked[TOP:])
    return [*ranked[:TOP], *([(f"{len(ranked) - TOP} others", rest)] if rest else [])]


def histogram(lengths: Mapping[str, int]) -> list[tuple[int, int, float]]:
    """Upper border, rows, and height of each bar, without gaps."""
    if not lengths:
        return []
    borders = sorted(map(int, lengths))
    highest = max(lengths.values())
    border_, bars = borders[0], []
    while border_ <= borders[-1]:
        count = lengths.get(str(border_), 0)
        bars.append((border_, count, count / highest))
        border_ *= 2
    return bars


def border(value: int) -> str:
    """A length as people write it."""
    return f"{value // 1024}k" if value >= 1024 else str(value)


def piece(text: str) -> str:
    """A token as its reader sees it: blanks are blanks, a line feed is seen."""
    return text.replace("<0x0A>", "⏎\n").replace(WORD_MARK, " ")
