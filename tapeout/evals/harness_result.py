"""Result of tasks of lm-eval for one model: a value per document, from which scores are computed without the model."""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

import orjson
from pydantic import JsonValue

from tapeout.evals.section import Unit
from tapeout.evals.task import Result

Aggregation = Literal["mean", "perplexity", "weighted_perplexity", "bits_per_byte", "other"]
"""Ways in which lm-eval computes a task's score from the values of its documents; ``other`` is no ratio of sums."""


class Document(Result):
    """A document with the model's responses and its values.

    Attributes:
        digest: SHA-256 of the document (see ``document_digest``).
        responses: in the order of lm-eval's requests: log-likelihood and whether it is the greedy continuation,
            log-likelihood of a whole text, or generated text.
        values: what lm-eval aggregates, by metric and filter (``acc,none``); a pair for a weighted mean.
    """

    digest: str
    responses: list[JsonValue]
    values: dict[str, JsonValue]


class Metric(Result):
    """A metric of a task.

    Attributes:
        filter: lm-eval's name of the filter of responses, ``none`` without one.
        value: lm-eval's score.
        stderr: its standard error by lm-eval; None where lm-eval has none.
    """

    name: str
    filter: str
    aggregation: Aggregation
    higher_is_better: bool
    value: float
    stderr: float | None

    @property
    def key(self) -> str:
        """Key of the values of documents."""
        return f"{self.name},{self.filter}"


class HarnessTask(Result):
    """A task of lm-eval.

    Attributes:
        version: the version that the task states.
        config: SHA-256 of the task's configuration as lm-eval ran it.
        data_set: the data set that it reads from a source of that name's own; empty if its data is beside its file.
        output_type: kind of its requests.
        shots: examples in each prompt.
        in_task: number of documents of the task; ``documents`` are the first ones.
        truncated: requests whose prompt was shortened at its beginning to fit into the context.
    """

    name: str
    version: str
    config: str
    data_set: str
    output_type: str
    shots: int
    in_task: int
    truncated: int
    metrics: list[Metric]
    documents: list[Document]


class GroupScore(Result):
    """A metric that a group of tasks aggregates.

    Attributes:
        weighted: True if each task counts by its number of documents, False if all tasks count the same.
        tasks: names of the tasks that have the metric.
        value, stderr: as of ``Metric``.
    """

    group: str
    name: str
    filter: str
    weighted: bool
    tasks: list[str]
    value: float
    stderr: float | None


class Harness(Result):
    """Scores of one model.

    Attributes:
        version: version of lm-eval.
    """

    version: str
    tasks: list[HarnessTask]
    groups: list[GroupScore]


def document_digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document's fields, without null ones, which a table adds to rows of different fields."""
    return sha256(orjson.dumps(_without_null(document), option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def units_of(task: HarnessTask, metric: Metric, weight: float = 1.0) -> list[Unit]:
    """Return the documents of a task as parts of a ratio of sums.

    Of a perplexity it is the logarithm: the mean negative log-likelihood, in nats.

    Args:
        task: the task.
        metric: a metric of it whose aggregation is not ``other``.
        weight: factor of numerators and denominators.
    """
    seen: dict[str, int] = {}
    units = []
    for document in task.documents:
        number = seen[document.digest] = seen.get(document.digest, 0) + 1
        numerator, denominator = _ratio(metric, document.values[metric.key])
        name = f"{document.digest}/{task.name}" + (f"/{number}" if number > 1 else "")
        units.append(Unit(name, weight * numerator, weight * denominator, stratum=task.name))
    return units


def group_units(result: Harness, group: GroupScore) -> list[Unit]:
    """Return the documents of all tasks of a group, weighted as the group weights its tasks; the mean weight is 1."""
    tasks = [task for task in result.tasks if task.name in group.tasks]
    mean = sum(len(task.documents) for task in tasks) / len(tasks)
    units: list[Unit] = []
    for task in tasks:
        metric = next(one for one in task.metrics if (one.name, one.filter) == (group.name, group.filter))
        units += units_of(task, metric, 1.0 if group.weighted else mean / len(task.documents))
    return units


def _ratio(metric: Metric, value: Any) -> tuple[float, float]:
    match metric.aggregation:
        case "mean":
            return float(value), 1.0
        case "perplexity":
            return -float(value), 1.0
        case "weighted_perplexity":
            return -float(value[0]), float(value[1])
        case "bits_per_byte":
            return -float(value[0]) / math.log(2), float(value[1])
        case "other":
            raise ValueError(f"{metric.key} is no ratio of sums")


def _without_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_without_null(inner) for inner in value]
    return value
