"""Learning rates of every step, known by hand, in the log of a training; also after stops."""

import json
import re
from pathlib import Path

import pytest

from tapeout.config.learning_rate import learning_rate
from tapeout.config.sft import Sft
from tests.nemo.tiny_model import folder_content
from tests.train.sft_trainings import RATES, SCHEDULES, STOPPED

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
EXPECTED = {
    "constant": [0.0025, 0.005, 0.0075, *[0.01] * 7],
    "wsd": [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01, 0.009, 0.008, 0.007, 0.006],
    # 0.0075 + 0.0025 cos(pi k / 7) for k = 0 to 6
    "cosine": [
        *[0.0025, 0.005, 0.0075, 0.01, 0.009752422169756048, 0.009058724504646834, 0.008056302334890786],
        *[0.006943697665109214, 0.005941275495353166, 0.005247577830243952],
    ],
}
"""Three steps of warm-up to 0.01, then seven; ``wsd`` has four of decay to 0.005, which would be the fifth."""


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_learning_rates_are_those_computed_by_hand(sft_trainings: Path, name: str) -> None:
    steps = json.loads((sft_trainings / name / "train_log.json").read_text())["steps"]
    assert len(steps) == RATES["max_steps"]
    assert [step["learning_rate"] for step in steps] == pytest.approx(EXPECTED[name], rel=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rates_that_are_shown_before_are_those_of_the_training(name: str) -> None:
    job = Sft(**RATES, **SCHEDULES[name])
    steps = range(1, job.max_steps + 1)
    assert [learning_rate(job, step) for step in steps] == pytest.approx(EXPECTED[name], rel=1e-12)


def test_a_stop_in_the_warm_up_and_one_in_the_decay_change_no_byte(sft_trainings: Path) -> None:
    """The default schedule is stopped by test_resume.py."""
    attempts = json.loads((sft_trainings / "results.json").read_text())["attempts"][f"{STOPPED} stopped"]
    assert [attempt["status"] for attempt in attempts] == [75, 75, 0]
    outputs = "".join(attempt["output"] for attempt in attempts)
    assert re.findall(r"^resuming from step (\d+)", outputs, flags=re.MULTILINE) == ["2", "7"]
    assert folder_content(sft_trainings / f"{STOPPED} stopped") == folder_content(sft_trainings / STOPPED)


def test_the_schedule_decides_the_weights(sft_trainings: Path) -> None:
    weights = [(sft_trainings / name / "weights/__0_0.distcp").read_bytes() for name in SCHEDULES]
    assert len(set(weights)) == len(SCHEDULES)
