"""Recall by hand, and intervals against known formulas."""

import json
from math import sqrt
from pathlib import Path

import pytest

from tapeout.config.passages import PassagesJob
from tapeout.config.recall import RecallJob
from tapeout.config.report import Statistics
from tapeout.report.evaluation.statistics import wilson
from tapeout.retrieval import bm25
from tapeout.retrieval.passages import passages_of
from tapeout.retrieval.question import Question
from tapeout.retrieval.recall import first_right, fraction, mean, results, scores, write_recall
from tests.retrieval.material import CACHE, FIFO, UART, row

pytestmark = pytest.mark.environment("serve")
JOB = RecallJob(at=(1, 5, 10), depth=100, systems=("bm25", "embedder"), resamples=2000)
BEFORE, AFTER = [1, 3, 7, None, 5], [1, 1, 2, 12, 6]


def test_five_questions_by_hand() -> None:
    assert scores(BEFORE, (1, 5, 10)) == {
        "recall@1": [1, 0, 0, 0, 0],
        "recall@5": [1, 1, 0, 0, 1],
        "recall@10": [1, 1, 1, 0, 1],
        "mrr": pytest.approx([1, 1 / 3, 1 / 7, 0, 1 / 5]),
    }
    found = results({"bm25": BEFORE, "embedder": AFTER}, JOB)
    values = {
        name: {measure: own["value"] for measure, own in system.items()} for name, system in found["systems"].items()
    }
    assert values["bm25"] == pytest.approx({"recall@1": 0.2, "recall@5": 0.6, "recall@10": 0.8, "mrr": 0.335238})
    assert values["embedder"] == pytest.approx({"recall@1": 0.4, "recall@5": 0.6, "recall@10": 0.8, "mrr": 0.55})
    (change,) = found["changes"]
    assert (change["before"], change["after"]) == ("bm25", "embedder")
    assert {name: own["value"] for name, own in change["measures"].items()} == pytest.approx(
        {"recall@1": 0.2, "recall@5": 0.0, "recall@10": 0.0, "mrr": 0.214762}
    )
    assert change["measures"]["recall@10"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_rank_of_the_first_right_passage() -> None:
    assert first_right({"b", "c"}, ["a", "c", "b"]) == 2
    assert first_right({"d"}, ["a", "c", "b"]) is None


@pytest.mark.parametrize("right", [0, 1, 13, 39, 40])
def test_recall_has_the_interval_of_the_evaluations(right: int) -> None:
    """By Wilson's formula, and equal to the interval that the report computes for exact answers."""
    values, z, rows = [1.0] * right + [0.0] * (40 - right), 1.959963985, 40
    share = right / rows
    reach = z * sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    found = fraction(values, Statistics())
    assert found == pytest.approx((share, centre - reach, centre + reach), abs=1e-9)
    other = wilson(right, rows, 0.95)
    assert found == pytest.approx((other.value, other.low, other.high), abs=1e-9)


def test_the_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = [0.0, 1.0] * 200
    found = mean(values, Statistics())
    assert found == mean(values, Statistics()) != mean(values, Statistics(seed=1))
    assert found == pytest.approx((0.5, 0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
    assert mean([0.25, 0.25], Statistics()) == (0.25, 0.25, 0.25)


def test_differences_are_paired() -> None:
    """Two systems that differ in one question of 100 have a narrow interval, although each of their own is wide."""
    before = [1, None] * 50
    found = results({"bm25": before, "embedder": [1, 1, *before[2:]]}, JOB)
    own, change = found["systems"]["bm25"]["recall@1"], found["changes"][0]["measures"]["recall@1"]
    assert own["high"] - own["low"] > 0.18
    assert change["value"] == pytest.approx(0.01) and change["low"] == 0.0 and change["high"] <= 0.03


def test_an_index_is_measured(tmp_path: Path) -> None:
    texts = {"fifo.v": FIFO, "uart.v": UART, "cache.v": CACHE}
    passages = [
        passage for path, text in texts.items() for passage in passages_of(row("core", path, text), PassagesJob())
    ]
    bm25.build(passages, tmp_path / "bm25")
    ids = {passage.path: passage.id for passage in passages}
    questions = [
        Question("In the module fifo: How wide is in_data?", "signal_width", "core", "fifo", (ids["fifo.v"],)),
        Question("In the module cache: How wide is hit?", "signal_width", "core", "cache", (ids["uart.v"],)),
    ]
    job = RecallJob(at=(1, 3), depth=3, systems=("bm25",))
    write_recall(questions, [tmp_path / "bm25"], job, tmp_path / "recall.json")
    found = json.loads((tmp_path / "recall.json").read_text())
    assert [found["questions"], found["passages"]] == [2, 3]
    assert [line["ranks"]["bm25"] == 1 for line in found["rows"]] == [True, False]
    assert found["systems"]["bm25"]["recall@1"]["value"] == 0.5 and found["systems"]["bm25"]["recall@3"]["value"] == 1
