"""Recall of indexes: how often a right passage is among the first k, with intervals, and its change between indexes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tapeout.config.recall import RecallJob
from tapeout.config.report import Statistics
from tapeout.data.io.jsonl import write_json
from tapeout.retrieval.question import Question
from tapeout.retrieval.search import Searcher

DIGITS = 6


class Estimate(NamedTuple):
    """Value with its confidence interval."""

    value: float
    low: float
    high: float


def first_right(right: set[str], ranked: Sequence[str]) -> int | None:
    """Return the rank of the first right passage, from 1; None if there is none."""
    return next((rank for rank, name in enumerate(ranked, start=1) if name in right), None)


def ranks(searcher: Searcher, questions: Sequence[Question], depth: int) -> list[int | None]:
    """Return the rank of the first right passage for each question."""
    found = searcher.rank([question.question for question in questions], depth)
    names = [passage.id for passage in searcher.passages]
    return [
        first_right(set(question.passages), [names[hit.position] for hit in hits])
        for question, hits in zip(questions, found, strict=True)
    ]


def scores(found: Sequence[int | None], at: Sequence[int]) -> dict[str, list[float]]:
    """Return the score of each question by measure: recall at k is 0 or 1, ``mrr`` one over the rank."""
    recall = {f"recall@{k}": [float(rank is not None and rank <= k) for rank in found] for k in at}
    return {**recall, "mrr": [0.0 if rank is None else 1 / rank for rank in found]}


def fraction(values: Sequence[float], job: Statistics) -> Estimate:
    """Return the mean of zeros and ones with Wilson's score interval."""
    from scipy.stats import binomtest

    right = round(sum(values))
    interval = binomtest(right, len(values)).proportion_ci(job.confidence, method="wilson")
    return Estimate(right / len(values), float(interval.low), float(interval.high))


def mean(values: Sequence[float], job: Statistics) -> Estimate:
    """Return a mean with its percentile bootstrap interval, which has no width where all values are equal."""
    from scipy.stats import bootstrap

    average = sum(values) / len(values)
    if len(set(values)) == 1:
        return Estimate(average, average, average)
    settings = {"n_resamples": job.resamples, "confidence_level": job.confidence, "method": "percentile"}
    drawn = bootstrap((np.array(values),), np.mean, rng=np.random.default_rng(job.seed), batch=1000, **settings)
    interval = drawn.confidence_interval
    return Estimate(average, float(interval.low), float(interval.high))


def results(found: Mapping[str, Sequence[int | None]], job: RecallJob) -> dict[str, Any]:
    """Return values of all systems and the paired changes from each system to each later one.

    Args:
        found: ranks of the first right passages by system, of the same questions in the same order.
        job: settings.
    """
    measured = {name: scores(found[name], job.at) for name in job.systems}
    systems = {
        name: {
            measure: _rounded((mean if measure == "mrr" else fraction)(values, job)) for measure, values in own.items()
        }
        for name, own in measured.items()
    }
    changes = []
    for number, before in enumerate(job.systems):
        for after in job.systems[number + 1 :]:
            pairs = {name: zip(measured[before][name], measured[after][name], strict=True) for name in measured[after]}
            differences = {name: [new - old for old, new in both] for name, both in pairs.items()}
            values = {name: _rounded(mean(own, job)) for name, own in differences.items()}
            changes.append({"before": before, "after": after, "measures": values})
    return {"systems": systems, "changes": changes}


def write_recall(questions: Sequence[Question], indexes: Sequence[Path], job: RecallJob, output: Path) -> None:
    """Write recall of all indexes, with the rank of the first right passage for each question."""
    found: dict[str, list[int | None]] = {}
    passages = 0
    for name, folder in zip(job.systems, indexes, strict=True):
        searcher = Searcher(folder)
        found[name], passages = ranks(searcher, questions, job.depth), len(searcher.passages)
    rows = [
        {
            "question": question.question,
            "category": question.category,
            "ranks": {name: found[name][at] for name in found},
        }
        for at, question in enumerate(questions)
    ]
    settings = {name: getattr(job, name) for name in ("seed", "resamples", "confidence", "depth")}
    counts = {"questions": len(questions), "passages": passages, "at": list(job.at), "settings": settings}
    write_json(output, {**results(found, job), **counts, "rows": rows})


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in estimate._asdict().items()}
