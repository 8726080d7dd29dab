"""Errors come out of other processes as they come out of this one."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tapeout.data.io.jsonl import MalformedRow
from tapeout.data.io.parallel import ProcessLost, in_order

pytestmark = pytest.mark.environment("corpus")


def doubled(number: int) -> int:
    if number == 7:
        raise MalformedRow(Path("rows.jsonl"), number, "seven")
    return 2 * number


def ended(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refused(name: str) -> None:
    raise MalformedRow(Path(name), 1, "no model")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_named_error_stays_one(workers: int) -> None:
    assert list(in_order(doubled, range(6), workers)) == [0, 2, 4, 6, 8, 10]
    with pytest.raises(MalformedRow, match="rows.jsonl, line 7: seven.\n  fix: Correct") as found:
        list(in_order(doubled, range(40), workers))
    assert found.value.line == 7


@pytest.mark.parametrize("workers", [1, 2])
def test_so_does_one_of_the_beginning(workers: int) -> None:
    with pytest.raises(MalformedRow, match="model, line 1: no model"):
        list(in_order(doubled, range(4), workers, partial(refused, "model")))


def test_a_process_that_is_ended_has_a_name() -> None:
    with pytest.raises(ProcessLost, match="memory"):
        list(in_order(ended, range(40), 2))
