"""All sets together: what their inspections found, and the gates. Shards of a pretraining corpus are one set."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tapeout.config.inspection import ReportJob
from tapeout.data.io.jsonl import read_jsonl
from tapeout.inspection.drops import Drops, read_drops
from tapeout.inspection.gates import Gate, judge
from tapeout.inspection.overlap import Row, unite

PRETRAINING = "pretraining"
SHARDS = f"{PRETRAINING}/shards/"


@dataclass(frozen=True)
class Whole:
    """What the report is made from.

    Attributes:
        measures: of each set, as ``inspect`` writes them.
        held: test rows that each set holds, by the names of both.
        drops: account of each step.
        gates: what was measured against each bound.
        samples: training rows of each set, token by token.
    """

    measures: dict[str, dict[str, Any]]
    held: dict[str, dict[str, list[Row]]]
    drops: dict[str, Drops]
    gates: list[Gate]
    samples: dict[str, list[dict[str, Any]]]


def gather(inspected: Sequence[Path], reports: Sequence[Path], job: ReportJob) -> Whole:
    """Read the inspections of ``job.sets`` and the reports of ``job.steps``."""
    folders: dict[str, list[Path]] = {}
    for name, folder in zip(job.sets, inspected, strict=True):
        folders.setdefault(set_of(name), []).append(folder)
    measures = {
        name: add([orjson.loads((folder / "measures.json").read_bytes()) for folder in each])
        for name, each in folders.items()
    }
    held = {
        name: unite(row for folder in each for row in read_jsonl(folder / "overlaps.jsonl"))
        for name, each in folders.items()
    }
    samples = {name: shown(each, job.looking.samples) for name, each in folders.items()}
    accounts: dict[str, Drops] = {}
    for step, path in zip(job.steps, reports, strict=True):
        own, name = read_drops(step, orjson.loads(path.read_bytes())), step_of(step)
        accounts[name] = accounts[name] + own if name in accounts else own
    return Whole(measures, held, accounts, list(judge(measures, held, accounts, job.looking)), samples)


def set_of(name: str) -> str:
    """Name of the set that an inspected artifact belongs to."""
    return PRETRAINING if name.startswith(SHARDS) else name


def step_of(step: str) -> str:
    """Name under which a step is counted: shards all together."""
    return SHARDS.rstrip("/") if step.startswith(SHARDS) else step


def shown(folders: Iterable[Path], most: int) -> list[dict[str, Any]]:
    """The first samples of all parts of a set."""
    found: list[dict[str, Any]] = []
    for folder in folders:
        found += read_jsonl(folder / "samples.jsonl")
        if len(found) >= most:
            break
    return found[:most]


def add(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Measures of a set's parts as those of one set."""
    if len(parts) == 1:
        return dict(parts[0])
    train: dict[str, Any] = {}
    for part in parts:
        for key, value in part["sides"]["train"].items():
            if isinstance(value, Mapping):
                train[key] = dict(Counter(train.get(key, {})) + Counter(value))
            else:
                train[key] = train.get(key, 0) + value
    return {**parts[0], "set": PRETRAINING, "sides": {"train": train}}
