"""A wait for a lock says which process it waits for."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeout.graph import locks
from tapeout.graph.files import file_lock
from tapeout.graph.locks import describe_holders

HOLD = "import fcntl, sys; file = open(sys.argv[1], 'ab'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds the lock of the file ``lock`` until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        yield process
        process.kill()


def test_the_holder_of_a_lock_is_named(holder: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    found = describe_holders(tmp_path / "lock")
    assert found.startswith(f"process {holder.pid} ({sys.executable} -c import fcntl") and found.endswith("...)")
    os.kill(holder.pid, signal.SIGSTOP)
    end = time.monotonic() + 60
    while not describe_holders(tmp_path / "lock").endswith(f"which is stopped: kill -CONT {holder.pid}"):
        assert time.monotonic() < end
    assert describe_holders(tmp_path) == "a process on another host or in another container"


def test_a_wait_is_reported_and_ends_with_the_holder(
    holder: "subprocess.Popen[bytes]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def end_holder(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            holder.kill()

    monkeypatch.setattr(locks, "FIRST_REPORT", 0.01)
    monkeypatch.setattr(locks, "REPORT_INTERVAL", 0.01)
    monkeypatch.setattr(locks, "print_line", end_holder)
    for mode in (fcntl.LOCK_EX, fcntl.LOCK_SH):
        with file_lock(tmp_path / "lock", mode):
            assert len(said) >= 2
    assert said[0].startswith(f"~ waiting for the lock {tmp_path}/lock of process {holder.pid} ")
