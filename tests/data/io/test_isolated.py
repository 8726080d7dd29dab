"""One item that crashes, or needs too much, is named; the others are processed, in order."""

import ctypes
import os
import signal

import pytest

from tapeout.data.io import isolated as module
from tapeout.data.io.isolated import Refusal, isolated
from tapeout.program import StepFailed

pytestmark = pytest.mark.environment("data")


def work(item: str) -> str | Refusal:
    """Do what the item says."""
    if item == "crash":
        ctypes.string_at(0)
    if item == "abort":
        os.abort()
    if item == "recurse":
        return work(item)
    if item == "allocate":
        return str(len(bytes(2**33)))
    if item == "loop":
        while True:  # until the time limit under test ends this process
            pass
    if item == "fail":
        raise KeyError(item)
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return Refusal("is refused") if item == "refuse" else item.upper()


def test_each_bad_item_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CPU_SECONDS", 1)
    bad = ["crash", "abort", "recurse", "allocate", "loop", "refuse"]
    items = [part for item in bad for part in ("good", item)]
    results = list(isolated(work, items))
    assert results[::2] == ["GOOD"] * len(bad)
    reasons = [result.reason for result in results[1::2] if isinstance(result, Refusal)]
    assert reasons == [
        "exhausts memory or stack",
        "exhausts memory or stack",
        "is nested too deeply",
        "exhausts memory or stack",
        "takes too long",
        "is refused",
    ]


def test_a_process_that_is_killed_from_outside_is_an_error() -> None:
    with pytest.raises(StepFailed, match="worker process of this step was terminated"):
        list(isolated(work, ["good", "killed", "good"]))


def test_an_exception_of_the_function_is_no_fault_of_the_item() -> None:
    with pytest.raises(RuntimeError, match="raised an exception"):
        list(isolated(work, ["good", "fail", "good"]))


def test_items_are_read_as_they_are_needed_and_large_ones_pass() -> None:
    read = []

    def items() -> object:
        for number in range(3):
            read.append(number)
            yield "x" * 3_000_000

    results = isolated(work, items())  # type: ignore[arg-type]
    assert next(results) == "X" * 3_000_000 and read == [0]
    results.close()  # type: ignore[attr-defined]
