"""Inspections of all sets together, with the rows that each step dropped; pretraining shards form one set."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tapeout.config.inspection import DataReportJob
from tapeout.data.io.archives import REPLACED
from tapeout.data.io.jsonl import read_jsonl
from tapeout.inspection.overlap import RowOverlap, unite

PRETRAINING = "pretraining"
SHARDS = f"{PRETRAINING}/shards/"
OF_FILES = "file: "
"""Beginning of reasons for files, where a step counts rows."""
NOT_SELECTED = {"other kind", "excluded", "file of another name", REPLACED}
"""Reasons for files that the configuration does not select, or of which an archive has a later version."""


def is_selected(reason: str) -> bool:
    """Return whether the configuration selects what was dropped; the report shows the others, no gate counts them."""
    return reason.removeprefix(OF_FILES) not in NOT_SELECTED


@dataclass(frozen=True)
class StepCounts:
    """Rows or documents that a step kept, dropped and changed.

    Attributes:
        kept: number of rows or documents in its result.
        dropped: number of others, by reason.
        changed: number of repairs and changes, by kind.
    """

    kept: int
    dropped: Counter[str]
    changed: Counter[str]

    @property
    def lost(self) -> int:
        """Number of dropped rows or documents that the configuration selects."""
        return sum(count for reason, count in self.dropped.items() if is_selected(reason))

    def __add__(self, other: "StepCounts") -> "StepCounts":
        """Return the sum of both."""
        return StepCounts(self.kept + other.kept, self.dropped + other.dropped, self.changed + other.changed)


@dataclass(frozen=True)
class DataSummary:
    """Content of the data report.

    Attributes:
        measures: measures.json of each set.
        overlaps: test rows that overlap with a training set, by training set and test set.
        steps: counts of each step.
        samples: training rows of each set, token by token.
    """

    measures: dict[str, dict[str, Any]]
    overlaps: dict[str, dict[str, list[RowOverlap]]]
    steps: dict[str, StepCounts]
    samples: dict[str, list[dict[str, Any]]]


def summarize(inspected: Sequence[Path], reports: Sequence[Path], job: DataReportJob) -> DataSummary:
    """Read the inspections of ``job.sets`` and the reports of ``job.steps``."""
    folders: dict[str, list[Path]] = {}
    for name, folder in zip(job.sets, inspected, strict=True):
        folders.setdefault(PRETRAINING if name.startswith(SHARDS) else name, []).append(folder)
    steps: dict[str, StepCounts] = {}
    for step, path in zip(job.steps, reports, strict=True):
        counts = read_counts(step, orjson.loads(path.read_bytes()))
        name = SHARDS.rstrip("/") if step.startswith(SHARDS) else step
        steps[name] = steps[name] + counts if name in steps else counts
    return DataSummary(
        measures={
            name: add_measures([orjson.loads((folder / "measures.json").read_bytes()) for folder in parts])
            for name, parts in folders.items()
        },
        overlaps={
            name: unite(row for folder in parts for row in read_jsonl(folder / "overlaps.jsonl"))
            for name, parts in folders.items()
        },
        steps=steps,
        samples={name: first_samples(parts, job.settings.samples) for name, parts in folders.items()},
    )


def first_samples(folders: Iterable[Path], max_samples: int) -> list[dict[str, Any]]:
    """Return the first samples of all parts of a set."""
    rows: list[dict[str, Any]] = []
    for folder in folders:
        rows += read_jsonl(folder / "samples.jsonl")
        if len(rows) >= max_samples:
            break
    return rows[:max_samples]


def add_measures(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the measures of a set, combined from the measures of its parts."""
    if len(parts) == 1:
        return dict(parts[0])
    train: dict[str, Any] = {}
    for part in parts:
        for key, value in part["splits"]["train"].items():
            if isinstance(value, Mapping):
                train[key] = dict(Counter(train.get(key, {})) + Counter(value))
            else:
                train[key] = train.get(key, 0) + value
    return {**parts[0], "set": PRETRAINING, "splits": {"train": train}}


def read_counts(step: str, report: Mapping[str, Any]) -> StepCounts:
    """Return the counts in a step's report.json."""
    kind, _, rest = step.partition("/")
    if kind == "corpus":
        parts = report["sources"].values()
        return StepCounts(
            report["train"]["documents"] + report["test"]["documents"],
            sum((Counter(part["dropped"]) for part in parts), Counter[str]()),
            sum((Counter(part["repaired"]) for part in parts), Counter[str]()),
        )
    if kind == "instructions":
        return StepCounts(sum(report["rows"].values()), _by_reason(report["dropped"]), Counter(report["changed"]))
    if kind == "encoded":
        splits = report.values()
        return StepCounts(
            sum(split.get("rows", 0) for split in splits),
            sum((_by_reason(split["dropped"]) for split in splits), Counter[str]()),
            Counter({"shortened": sum(split.get("shortened", 0) for split in splits)}),
        )
    if rest.startswith("documents/"):
        return StepCounts(report["kept"].get("documents", 0), Counter(report["dropped"]), Counter(report["repaired"]))
    if rest.startswith("shards/"):
        return StepCounts(
            sum(component["documents"] for component in report["kept"].values()),
            sum(map(Counter, report["dropped"].values()), Counter[str]()),
            sum(map(Counter, report["scrubbed"].values()), Counter[str]()),
        )
    near = report["near duplicates"]
    return StepCounts(report["documents"] - near, Counter({"near duplicate": near}), Counter())


def _by_reason(dropped: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    return Counter({reason: examples["count"] for reason, examples in dropped.items()})
