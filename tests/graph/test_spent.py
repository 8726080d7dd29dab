"""What a run took against its forecast, here; in a cluster: tests/slurm/test_top.py."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tapeout.graph.run.step_progress import NOTE, before

from tapeout.graph.run.run_record import Course
from tapeout.graph.run.usage import Spent, _only, words
from tests.graph.conftest import Project
from tests.graph.test_watch import Folder


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return Folder(tmp_path).begin()


def took(**more: Any) -> Spent:
    known = {"built": 5, "spared": 0, "left": 0, "failed": 0, "wall": 723.0, "cpu_hours": 0.31, "gpu_hours": 0.0}
    return Spent(**{**known, "waiting": 0.0, "accounted": True, **more})


def test_the_words(course: Course) -> None:
    assert words(took(), course).splitlines() == [
        "Built 5 in 12 min 03 s: 0.31 CPU hours.",
        "Forecast: 5 jobs, 2 min, 0.10 CPU hours.",
    ]
    text = words(took(wall=7300.0, spared=2, gpu_hours=14.5, waiting=200.0), course)
    assert text.startswith(
        "Built 5 in 2.0 h, 2 cut off or restored: 0.31 CPU hours, 14.5 GPU hours, 3 min\n  only waiting in the queue."
    )
    text = " ".join(words(took(left=3, failed=1, gpu_hours=2.0, accounted=False), course).split())
    assert "Built 5 of 8 in 12 min 03 s, 1 failed" in text
    assert "2.00 GPU hours of steps that were built (no accounting)" in text


def test_waiting_is_what_nothing_ran_beside() -> None:
    assert _only([], [(0, 9)]) == 0
    assert _only([(0, 10), (5, 20)], []) == 20
    assert _only([(0, 10), (15, 20)], [(4, 16)]) == 8
    assert _only([(0, 10)], [(0, 2), (1, 4), (8, 30)]) == 4
    assert _only([(5, 5)], []) == 0


def test_a_run_says_what_it_took_and_one_that_builds_nothing_is_quiet(project: Project) -> None:
    run = project.run()
    assert re.search(r"^Built 6 in .*\.\nForecast: 6 jobs, .*, time of 5 not known\.\n\Z", run.text, re.MULTILINE)
    assert "Built" not in project.run().text
    assert "Built" not in project.run("--dry-run").text
    project.edit("src/data.txt", "b", "b ")
    assert re.search(r"^Built 2 in [^:]*, 2 cut off or restored", project.run().text, re.MULTILINE)
    lines = [json.loads(line) for line in project.path("store/journal.jsonl").open()]
    assert len({line["run"] for line in lines}) == 2 and {line["job"] for line in lines} == {""}


def test_a_failed_run_says_how_far_it_came(project: Project) -> None:
    project.edit("scripts/model.py", "output.mkdir()", "raise SystemExit(1)")
    text = project.run("--keep-going", ok=False).text
    assert re.search(r"^Built 4 of 6 in [^:]*, 1 failed", text, re.MULTILINE)


def test_an_attempt_that_goes_on_counts_the_time_before(tmp_path: Path) -> None:
    assert before(tmp_path) == 0
    (tmp_path / NOTE).write_text(json.dumps({"artifact": "model", "begun": 1000.0, "before": 50.0}))
    assert before(tmp_path) == 0, "nothing was saved: it begins again"
    saved = tmp_path / "state" / "step"
    saved.parent.mkdir()
    saved.touch()
    os.utime(saved, (1200, 1200))
    assert before(tmp_path) == 250
