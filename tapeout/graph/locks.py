"""Waiting for the lock of a file, and who holds it.

No time limit would be right: the builder of an artifact may train for days. A wait therefore ends when the holder does,
or with Ctrl-C, and says after a few seconds which process it waits for.
"""

import fcntl
import threading
from pathlib import Path
from typing import IO, Any

from tapeout.graph.console import print_line

FIRST_REPORT, REPORT_INTERVAL = 10.0, 600.0
"""Seconds after which a wait is reported, and between later reports."""
MAX_COMMAND = 100
"""Length at which the command line of a process is cut off."""


def acquire(file: IO[Any], mode: int) -> None:
    """Lock an open file, exclusively (``LOCK_EX``) or shared (``LOCK_SH``), as soon as no other process prevents it."""
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        acquired = threading.Event()
        threading.Thread(target=_report, args=(file.name, acquired), daemon=True).start()
        try:
            fcntl.flock(file, mode)
        finally:
            acquired.set()


def _report(path: str, acquired: threading.Event) -> None:
    pause = FIRST_REPORT
    while not acquired.wait(pause):
        print_line(f"~ waiting for the lock {path} of {describe_holders(Path(path))}; Ctrl-C ends this process")
        pause = REPORT_INTERVAL


def describe_holders(path: Path) -> str:
    """Return the processes that hold the lock of a file, with their commands, and whether one is stopped."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
        inode = str(path.stat().st_ino)
    except OSError:
        lines, inode = [], ""
    holders = set()
    for fields in map(str.split, lines):  # "1: FLOCK ADVISORY WRITE 4242 08:02:1234 0 EOF"; a waiting one has "->"
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
            holders.add(int(fields[4]))
    return ", ".join(_describe(pid) for pid in sorted(holders)) or "a process on another host or in another container"


def _describe(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return f"process {pid}"
    command = " ".join(words).strip()
    command = command if len(command) <= MAX_COMMAND else f"{command[:MAX_COMMAND]}..."
    return f"process {pid} ({command}{f'), which is stopped: kill -CONT {pid}' if state in 'Tt' else ')'}"
