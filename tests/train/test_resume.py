"""A training that is stopped or killed and resumed writes the same bytes as an uninterrupted one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapeout.tracking.journal import Journal
from tests.nemo.tiny_model import folder_content
from tests.train.interrupted_trainings import last_checkpoint

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
STEPS = 16
Attempts = dict[str, list[dict[str, Any]]]


def lines(attempt: dict[str, Any], text: str) -> list[str]:
    """Return the lines of an attempt's output that contain a text."""
    return [line for line in attempt["output"].splitlines() if text in line]


@pytest.mark.parametrize(
    ("name", "uninterrupted"),
    [("dapt stopped", "dapt"), ("sft stopped", "sft"), ("killed", "dapt"), ("damaged", "dapt")],
)
def test_the_bytes_are_the_same(trainings: Path, name: str, uninterrupted: str) -> None:
    expected, actual = folder_content(trainings / uninterrupted), folder_content(trainings / name)
    assert len(expected) > 8 and expected.keys() == actual.keys()
    for path, data in expected.items():
        assert actual[path] == data, path


@pytest.mark.parametrize("name", ["dapt stopped", "sft stopped"])
def test_a_training_stops_on_request_and_resumes(attempts: Attempts, name: str) -> None:
    by_file, file_remains, by_signal, last = attempts[name]
    assert [attempt["status"] for attempt in attempts[name]] == [75, 75, 75, 0]
    assert lines(by_file, "checkpoint saved at step 3 (0.5 MB, ")
    assert lines(by_file, "stopped at step 3 on request")
    assert lines(file_remains, "resuming from step 3 (0.5 MB, ")
    assert not lines(file_remains, f"4/{STEPS}") and not lines(file_remains, "checkpoint saved")
    assert lines(by_signal, f"4/{STEPS}") and lines(by_signal, "checkpoint saved at step 9")
    assert lines(last, "resuming from step 9") and not lines(last, f"9/{STEPS}")
    assert lines(last, f"10/{STEPS}") and not lines(last, "checkpoint saved")


def test_a_kill_costs_one_step_at_most(attempts: Attempts) -> None:
    *killed, last = attempts["killed"]
    assert [attempt["status"] for attempt in killed] == [-9] * len(killed) and last["status"] == 0
    assert last_checkpoint([attempt["output"] for attempt in attempts["killed"]]) == STEPS - 1


@pytest.mark.parametrize("name", ["dapt stopped", "sft stopped", "killed"])
def test_the_journal_of_an_interrupted_training_has_every_step_of_its_log(trainings: Path, name: str) -> None:
    log, journal = json.loads((trainings / name / "train_log.json").read_text()), Journal(trainings / f"{name}.metrics")
    journal.update()
    assert journal.complete and journal.total == STEPS
    keys = ("loss", "learning_rate", "tokens")
    assert [{"step": step} | {key: values[key] for key in keys} for step, values in journal.steps.items()] == log[
        "steps"
    ]
    assert all(values["gradient_norm"] > 0 and values["positions_per_second"] > 0 for values in journal.steps.values())
    validation = [
        (step, values["validation_loss"]) for step, values in journal.steps.items() if "validation_loss" in values
    ]
    assert validation == [(entry["step"], entry["loss"]) for entry in log["validation"]]
    assert [step for step, _ in validation] == ([5, 10, 15, 16] if name == "sft stopped" else [])
    text = (trainings / f"{name}.metrics").read_text()
    assert text.count('"begin"') > 1 and text.count('"step"') >= STEPS


def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_used(attempts: Attempts) -> None:
    (attempt,) = attempts["damaged"]
    assert lines(attempt, f"The checkpoint of step {STEPS - 1} is not used: part-0.pt is damaged.")
    assert lines(attempt, f"resuming from step {STEPS - 2}")


def test_a_checkpoint_of_another_job_is_refused(trainings: Path, attempts: Attempts) -> None:
    (attempt,) = attempts["other job"]
    message = f"The checkpoint of step {STEPS - 2} is not used: part-0.pt is of another job or of other data."
    assert lines(attempt, message)
    assert lines(attempt, "No checkpoint is left: training from the beginning.")
    assert lines(attempt, f"1/{STEPS}") and attempt["status"] == 0
    other, own = folder_content(trainings / "other job"), folder_content(trainings / "dapt")
    assert other["train_log.json"] != own["train_log.json"]


def test_no_checkpoint_is_written_without_a_folder(trainings: Path, attempts: Attempts) -> None:
    (attempt,) = attempts["dapt"]
    assert not lines(attempt, "checkpoint saved") and not list(trainings.glob("dapt.checkpoints"))
