"""A training that is stopped or killed and goes on makes the same bytes as one that is left in peace."""

from pathlib import Path
from typing import Any

import pytest

from tests.nemo.material import content

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow]
STEPS = 16


def told(attempt: dict[str, Any], words: str) -> list[str]:
    return [line for line in attempt["said"].splitlines() if words in line]


@pytest.mark.parametrize(
    ("name", "undisturbed"),
    [("stopped", "undisturbed"), ("tuned stopped", "tuned"), ("killed", "undisturbed"), ("damaged", "undisturbed")],
)
def test_the_bytes_are_the_same(trainings: Path, name: str, undisturbed: str) -> None:
    expected, found = content(trainings / undisturbed), content(trainings / name)
    assert len(expected) > 8 and expected.keys() == found.keys()
    for path, data in expected.items():
        assert found[path] == data, path


@pytest.mark.parametrize("name", ["stopped", "tuned stopped"])
def test_it_stops_where_it_is_asked_to_and_goes_on_there(attempts: dict[str, list[dict[str, Any]]], name: str) -> None:
    by_file, still_there, by_signal, undisturbed = attempts[name]
    assert [each["status"] for each in attempts[name]] == [75, 75, 75, 0]
    assert told(by_file, "state saved at step 3 (0.5 MB, ")
    assert told(by_file, "stopped at step 3, as was wanted")
    assert told(still_there, "going on from step 3 (0.5 MB, ")
    assert not told(still_there, f"4/{STEPS}") and not told(still_there, "state saved")
    assert told(by_signal, f"4/{STEPS}") and told(by_signal, "state saved at step 9")
    assert told(undisturbed, "going on from step 9") and not told(undisturbed, f"9/{STEPS}")
    assert told(undisturbed, f"10/{STEPS}") and not told(undisturbed, "state saved")


def test_kills_cost_a_step_at_most(attempts: dict[str, list[dict[str, Any]]]) -> None:
    *killed, last = attempts["killed"]
    assert [each["status"] for each in killed] == [-9] * len(killed) and last["status"] == 0
    saved = 0
    for attempt in attempts["killed"]:
        begun = told(attempt, "going on from step ")
        found = int(begun[0].split()[4]) if begun else 0
        assert found in (saved, saved + 1), "a state that was whole may not have been told of any more"
        saved = max([found, *(int(line.split()[4]) for line in told(attempt, "state saved at step "))])
    assert saved == STEPS - 1


def test_a_damaged_state_is_told_of_and_the_one_before_is_used(attempts: dict[str, list[dict[str, Any]]]) -> None:
    (attempt,) = attempts["damaged"]
    assert told(attempt, f"The state of step {STEPS - 1} is not used: part-0.pt is damaged.")
    assert told(attempt, f"going on from step {STEPS - 2}")


def test_a_state_of_another_job_is_refused(trainings: Path, attempts: dict[str, list[dict[str, Any]]]) -> None:
    (attempt,) = attempts["other"]
    assert told(attempt, f"The state of step {STEPS - 2} is not used: part-0.pt is of another job or of other data.")
    assert told(attempt, "No state is left: training from the beginning.")
    assert told(attempt, f"1/{STEPS}") and attempt["status"] == 0
    assert content(trainings / "other")["train_log.json"] != content(trainings / "undisturbed")["train_log.json"]


def test_nothing_is_kept_where_no_folder_is_named(trainings: Path, attempts: dict[str, list[dict[str, Any]]]) -> None:
    (attempt,) = attempts["undisturbed"]
    assert not told(attempt, "state saved") and not list(trainings.glob("undisturbed.states"))
