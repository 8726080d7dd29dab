"""Data of the table of attempts as compact JSON, which the page contains once and its script reads.

Each text is stored once, rows refer to it by its number. A page that would be too large has shorter texts, and after
that fewer attempts: the choice depends on the attempts alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tapeout.evals.section import Answered
from tapeout.report.evaluation.attempts import KINDS, Attempt, TaskAttempts, in_turn
from tapeout.visible import visible_on_page

MAX_BYTES = 4_000_000
"""Maximum size of the data: 5,000 attempts in short. Those of the default configuration take 0.4 MB."""
LENGTHS = (None, 8_000, 4_000, 2_000, 1_000, 500, 250)
"""Characters to which texts are shortened, the first that suffices; None is no limit."""
DIGITS = 16
"""Fewest digits of a digest in a permanent link; more where units would have the same link."""


@dataclass(frozen=True)
class PageData:
    """Data of the page.

    Attributes:
        text: JSON that is safe inside of a script element: without ``<``, and with visible signs for hidden characters.
        shown: attempts that it has.
        total: all attempts.
        length: characters to which texts are shortened; None if none is.
    """

    text: str
    shown: int
    total: int
    length: int | None


def page_data(tasks: Sequence[TaskAttempts], models: Sequence[str], max_bytes: int = MAX_BYTES) -> PageData:
    """Return the attempts of all tasks, shortened as far as necessary."""
    numbers = {"": 0}
    rows, known = [], []
    places, digits = {group.task: index for index, group in enumerate(tasks)}, _digits(tasks)
    for group, one in in_turn(tasks):
        rows.append([places[group.task], one.digest[:digits], *_row(one, models, numbers)])
        known.append(len(numbers))
    whole = [visible_on_page(text) for text in numbers]
    head = {
        "models": [visible_on_page(model) for model in models],
        "kinds": KINDS,
        "tasks": [{"name": group.task, "title": visible_on_page(group.title)} for group in tasks],
    }
    for length in LENGTHS:
        texts = [_shortened(text, length) for text in whole]
        document = _encoded({**head, "texts": texts, "rows": rows})
        if _size(document) <= max_bytes:
            return PageData(document, len(rows), len(rows), length)
    left = max_bytes - _size(_encoded({**head, "texts": [], "rows": []}))
    of_texts = list(accumulate(_size(_encoded(text)) + 1 for text in texts))
    of_rows = accumulate(_size(_encoded(row)) + 1 for row in rows)
    shown = sum(size + of_texts[count - 1] <= left for size, count in zip(of_rows, known, strict=True))
    texts = texts[: known[shown - 1]] if shown else []
    document = _encoded({**head, "texts": texts, "rows": rows[:shown]})
    return PageData(document, shown, len(rows), length)


def _row(attempt: Attempt, models: Sequence[str], numbers: dict[str, int]) -> list[Any]:
    """Return a row without its task and digest; texts are replaced by their numbers, which are added where missing."""

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    def answer(one: Answered) -> list[Any]:
        wrong = one.mismatch
        return [
            KINDS.index(one.kind),
            *map(number, (one.label, one.verdict, one.message, one.answer, one.code)),
            [number(part) for fact in one.facts.items() for part in fact],
            wrong and [number(part) for part in (wrong.signal, wrong.got, wrong.expected, f"{wrong.time}")],
        ]

    unit = attempt.unit
    return [
        *map(number, (attempt.title, unit.source, unit.asked, unit.expected, unit.note)),
        [answer(attempt.answers[model]) if model in attempt.answers else None for model in models],
    ]


def _shortened(text: str, length: int | None) -> str:
    if length is None or len(text) <= length:
        return text
    return f"{text[:length]}… [{len(text) - length:,} more characters]"


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _size(text: str) -> int:
    return len(text.encode())


def _digits(tasks: Sequence[TaskAttempts]) -> int:
    """Return how many digits of a digest tell all units of each task apart."""
    digits = DIGITS
    for group in tasks:
        digests = {one.digest for one in group.attempts}
        while len({digest[:digits] for digest in digests}) < len(digests):
            digits *= 2
    return digits
