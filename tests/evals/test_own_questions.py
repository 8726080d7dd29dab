"""The project's own multiple-choice questions: complete, balanced, and not to be guessed from form."""

import json
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from tapeout.evals.choices import ChoiceQuestion, read_choice_questions

pytestmark = pytest.mark.environment("data")

FILE = Path(__file__).parents[2] / "config/multiple_choice.jsonl"
ROWS = [ChoiceQuestion.model_validate(json.loads(line)) for line in FILE.read_text().splitlines()]


def test_areas_difficulties_and_names() -> None:
    areas = Counter(row.area for row in ROWS)
    assert len(ROWS) >= 126 and set(areas) == {"rtl", "timing", "verification", "scripting"}
    assert min(areas.values()) >= 30 and max(areas.values()) <= 1.25 * min(areas.values())
    levels = Counter(row.difficulty for row in ROWS)
    assert set(levels) == {"easy", "medium", "hard"} and min(levels.values()) >= 15
    assert len({row.id for row in ROWS}) == len({row.question for row in ROWS}) == len(ROWS)
    assert all(row.id.startswith(f"{row.area}-") and len(row.choices) == 4 for row in ROWS)
    assert len(read_choice_questions([FILE])) == len(ROWS)


def test_every_question_is_explained_in_sentences() -> None:
    for row in ROWS:
        assert len(row.explanation) > 80 and row.explanation.endswith("."), row.id
        assert row.explanation.count(". ") >= 1, row.id
        assert len(row.question) < 140 and max(map(len, row.choices)) < 50, row.id


def test_positions_are_balanced_and_follow_no_pattern() -> None:
    positions = [row.answer for row in ROWS]
    assert max(Counter(positions).values()) - min(Counter(positions).values()) <= 1
    assert max(len(list(run)) for _, run in groupby(positions)) <= 5
    for period in range(1, 9):
        repeated = sum(a == b for a, b in zip(positions, positions[period:], strict=False)) / (len(ROWS) - period)
        assert 0.1 < repeated < 0.4, period


def test_length_does_not_give_the_right_choice_away() -> None:
    """Always taking the longest, second, third or shortest choice is right in about a quarter of the questions."""
    shares = [0.0] * 4
    for row in ROWS:
        lengths = sorted(map(len, row.choices), reverse=True)
        own = len(row.choices[row.answer])
        for rank in range(4):
            shares[rank] += (lengths[rank] == own) / lengths.count(own) / len(ROWS)
    assert max(shares) < 0.35 and min(shares) > 0.14, shares
    right = sum(len(row.choices[row.answer]) for row in ROWS)
    wrong = sum(len(choice) for row in ROWS for choice in row.choices) - right
    assert 0.95 < 3 * right / wrong < 1.05
