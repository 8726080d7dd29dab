"""Usage of a run on one machine, compared with its forecast; tests/slurm/test_top.py has that of a cluster."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.run.progress import PROGRESS, STEP_FIELDS, earlier_seconds
from tapeout.graph.run.run_record import RunRecord
from tapeout.graph.run.usage import Usage, _seconds_only_waiting, describe_usage
from tests.graph.conftest import Project
from tests.graph.run.planned_run import PlannedRun


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return PlannedRun(tmp_path).begin()


def usage(**more: Any) -> Usage:
    known = {"built": 5, "skipped": 0, "remaining": 0, "failed": 0, "wall": 723.0, "cpu_hours": 0.31, "gpu_hours": 0.0}
    return Usage(**{**known, "waiting": 0.0, "accounted": True, **more})


def test_description(record: RunRecord) -> None:
    assert describe_usage(usage(), record).splitlines() == [
        "Built 5 in 12 min 03 s: 0.31 CPU hours.",
        "Forecast: 5 jobs, 2 min, 0.10 CPU hours.",
    ]
    text = describe_usage(usage(wall=7300.0, skipped=2, gpu_hours=14.5, waiting=200.0), record)
    assert text.startswith(
        "Built 5 in 2.0 h, 2 cut off or restored: 0.31 CPU hours, 14.5 GPU hours, 3 min\n  only waiting in the queue."
    )
    text = " ".join(describe_usage(usage(remaining=3, failed=1, gpu_hours=2.0, accounted=False), record).split())
    assert "Built 5 of 8 in 12 min 03 s, 1 failed" in text
    assert "2.00 GPU hours of steps that were built (no accounting)" in text


@pytest.mark.parametrize(
    ("waits", "runs", "seconds"),
    [
        ([], [(0, 9)], 0),
        ([(0, 10), (5, 20)], [], 20),
        ([(0, 10), (15, 20)], [(4, 16)], 8),
        ([(0, 10)], [(0, 2), (1, 4), (8, 30)], 4),
        ([(5, 5)], [], 0),
    ],
)
def test_only_time_in_which_nothing_ran_counts_as_waiting(
    waits: list[tuple[float, float]], runs: list[tuple[float, float]], seconds: float
) -> None:
    assert _seconds_only_waiting(waits, runs) == seconds


def test_a_run_prints_its_usage_unless_it_built_nothing(project: Project) -> None:
    run = project.run()
    assert re.search(r"^Built 6 in .*\.\nForecast: 6 jobs, .*, time of 5 unknown\.\n\Z", run.text, re.MULTILINE)
    assert "Built" not in project.run().text
    assert "Built" not in project.run("--dry-run").text
    project.edit("src/data.txt", "b", "b ")
    assert re.search(r"^Built 2 in [^:]*, 2 cut off or restored", project.run().text, re.MULTILINE)
    lines = [json.loads(line) for line in project.path("store/journal.jsonl").open()]
    assert len({line["run"] for line in lines}) == 2 and {line["job"] for line in lines} == {""}


def test_a_failed_run_prints_how_much_it_built(project: Project) -> None:
    project.edit("scripts/model.py", "output.mkdir()", "raise SystemExit(1)")
    text = project.run("--keep-going", ok=False).text
    assert re.search(r"^Built 4 of 6 in [^:]*, 1 failed", text, re.MULTILINE)


def test_a_resumed_attempt_includes_the_time_up_to_its_checkpoint(tmp_path: Path) -> None:
    assert earlier_seconds(tmp_path) == 0
    earlier = {"artifact": "model", "started": 1000.0, "earlier_seconds": 50.0}
    earlier |= dict.fromkeys(STEP_FIELDS - earlier.keys(), "")
    (tmp_path / PROGRESS).write_text(json.dumps(earlier))
    assert earlier_seconds(tmp_path) == 0, "without a checkpoint it starts from the beginning"
    checkpoint = tmp_path / "state" / "step"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    os.utime(checkpoint, (1200, 1200))
    assert earlier_seconds(tmp_path) == 250
