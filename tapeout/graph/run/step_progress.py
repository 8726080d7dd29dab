"""How far a running step has come: shown every few seconds, and left in its work folder for ``tapeout top``."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tapeout.graph.console import format_duration, print_line
from tapeout.graph.errors import GraphError
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.digest import canonical
from tapeout.progress import MARK

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_NOTES = 2.0
NOTE = "live.json"


class Live:
    """The progress of one step.

    Attributes:
        note: file in the step's work folder: artifact, process, host and job, and the program's last words of progress.
        before: seconds of earlier attempts whose saved state this one goes on from.
    """

    def __init__(self, artifact: str, folder: Path) -> None:
        self.artifact = artifact
        self.note = folder / NOTE
        self.before = before(folder)
        self.first: tuple[float, float] | None = None
        self.shown = self.noted = 0.0
        self.known: dict[str, Any] = {
            "artifact": artifact,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "node": os.environ.get("SLURMD_NODENAME", ""),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "begun": time.time(),
            "before": self.before,
        }
        self._keep({})

    def show(self, line: str) -> bool:
        """Take a line of progress, and print it if it is time for it; False if the line is none."""
        if not line.startswith(MARK):
            return False
        try:
            values = json.loads(line.removeprefix(MARK))
            done, total = values.pop("done"), values.pop("total")
        except (ValueError, KeyError, AttributeError):
            return False
        now = time.monotonic()
        if self.first is None:
            self.first = (now, done)
        begun, at = self.first
        remaining = (total - done) * (now - begun) / (done - at) if done > at else None
        if now - self.noted >= SECONDS_BETWEEN_NOTES or done >= total:
            self.noted = now
            self._keep({"done": done, "total": total, "remaining": remaining, "values": values})
        if now - self.shown >= SECONDS_BETWEEN_LINES or done >= total:
            self.shown = now
            details = "".join(f"  {name} {value}" for name, value in values.items())
            left = f"  remaining {format_duration(remaining)}" if remaining is not None else ""
            print_line(f". {self.artifact}  {done}/{total}{details}{left}")
        return True

    def _keep(self, progress: dict[str, Any]) -> None:
        write_atomically(self.note, canonical(self.known | progress | {"time": time.time()}) + b"\n")


@contextlib.contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Leave the error by which a step ends, as people are told it, for those who look from outside."""
    try:
        yield
    except GraphError as error:
        if (note := read_note(folder / NOTE)) is not None:
            write_atomically(folder / NOTE, canonical(note | {"failed": str(error), "time": time.time()}) + b"\n")
        raise


def before(folder: Path) -> float:
    """Seconds that earlier attempts worked until they last saved their state, from which this one goes on."""
    note = read_note(folder / NOTE)
    saved = [path.stat().st_mtime for path in (folder / "state").rglob("*") if path.is_file()]
    if note is None or not saved:
        return 0.0
    return float(note["before"]) + max(0.0, max(saved) - note["begun"])


def read_note(path: Path) -> dict[str, Any] | None:
    """One note; None if the step has just ended, or left none."""
    try:
        note: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return note


def read_notes(work: Path) -> list[dict[str, Any]]:
    """What running steps have left, and steps that were ended before they could take it away, by artifact."""
    found = [(path, read_note(path)) for path in sorted(work.glob(f"*/{NOTE}"))]
    notes = [note | {"action": path.parent.name} for path, note in found if note is not None]
    return sorted(notes, key=lambda note: (note["artifact"], note["time"]))
