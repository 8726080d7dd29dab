"""Errors in worker processes are raised as in one process."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tapeout.data.errors import BadRow
from tapeout.data.io.parallel import in_order
from tapeout.program import StepFailed

pytestmark = pytest.mark.environment("corpus")


def doubled(number: int) -> int:
    if number == 7:
        raise BadRow.of_line(Path("rows.jsonl"), number, "seven")
    return 2 * number


def killed(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refused(name: str) -> None:
    raise BadRow.of_line(Path(name), 1, "no model")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_is_raised(workers: int) -> None:
    assert list(in_order(doubled, range(6), workers)) == [0, 2, 4, 6, 8, 10]
    with pytest.raises(BadRow, match="rows.jsonl, line 7: seven.\n  fix: Correct") as error_info:
        list(in_order(doubled, range(40), workers))
    assert error_info.value.location == "rows.jsonl, line 7"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_start_is_raised(workers: int) -> None:
    with pytest.raises(BadRow, match="model, line 1: no model"):
        list(in_order(doubled, range(4), workers, partial(refused, "model")))


def test_a_killed_process_is_reported() -> None:
    with pytest.raises(StepFailed, match="memory"):
        list(in_order(killed, range(40), 2))
