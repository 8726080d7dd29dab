"""Asking a running program to save its state and make way, and what becomes of the job then.

A program is asked by a file (``TAPEOUT_STOP``), because signals do not get through srun, containers and launchers
reliably, and by SIGTERM. One that can go on later saves what it needs in ``TAPEOUT_STATE`` and ends with status 75.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from types import FrameType

from tapeout.graph.console import print_line
from tapeout.graph.errors import StepFailed
from tapeout.slurm.allocation import Allocation, note_restart, restarts
from tapeout.slurm.client import AWAY, SlurmUnavailable
from tapeout.slurm.submit import PATIENCE, SECONDS_BETWEEN

SAVED = os.EX_TEMPFAIL
"""Status of a program that saved its state and can go on from it."""

LEAVE, RESTARTS = "TAPEOUT_LEAVE_SECONDS", "TAPEOUT_RESTARTS"
"""Variables: how long before the time limit to make way, and how often one job may go back into the queue."""

LONGEST_WAIT = 3600.0
"""Seconds between two looks at the time limit, which may be moved."""


class Stopper:
    """While a program runs: hands on the wish to stop, of the system or of the clock."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.why: str | None = None
        self.firmly = False
        self.process: subprocess.Popen[str] | None = None
        self.number = signal.SIGTERM
        self.ended = threading.Event()
        self.allocation = Allocation.here()
        file.unlink(missing_ok=True)

    def __enter__(self) -> "Stopper":
        self.before = {number: signal.signal(number, self._signalled) for number in (signal.SIGTERM, signal.SIGUSR1)}
        self.clock = threading.Thread(target=self._watch, daemon=True)
        if self.allocation is not None:
            self.clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def watch(self, process: "subprocess.Popen[str]", number: signal.Signals) -> None:
        """The program to stop, and the signal that asks it; a wish that came before it is handed on now."""
        self.process, self.number = process, number
        if self.why is not None:
            self._stop()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.why = self.why or signal.Signals(number).name
        self.firmly = self.firmly or number == signal.SIGTERM
        self._stop()

    def _stop(self) -> None:
        self.file.touch()
        if self.firmly and self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, self.number)

    def _watch(self) -> None:
        """Ask the program to stop when the job's time is nearly over."""
        leave = float(os.environ.get(LEAVE, "300"))
        pause, limit = 0.0, None
        while not self.ended.wait(pause):
            left = self.allocation.seconds_left() if self.allocation is not None else None
            if left is None:
                pause = 60.0
                continue
            if limit is None and self.allocation is not None:
                limit = self.allocation.limit()
            if limit is not None:
                leave = min(leave, limit / 4)  # else a short job would make way before it has done anything
            if left <= leave:
                self.why = self.why or "the time limit"
                self._stop()
                return
            pause = min(left - leave, LONGEST_WAIT)

    def after(self, artifact: str, script: str, status: int, folder: Path) -> None:
        """What becomes of a program that was asked to stop, or that saved its state by itself.

        In a job that goes on existing (a time limit that comes near, a preemption) the job is put back into the queue,
        a bounded number of times, and this process ends with it.

        A good end after SIGTERM is not believed: many programs tidy up and end so, with half of their output.

        Raises:
            StepFailed: it is not to be tried again by itself.
        """
        if not self._stopped(status):
            return
        saved = "it goes on from what it saved" if status == SAVED else "it begins again"
        stopped = f"{script} was stopped by {self.why or 'itself'}"
        if self.allocation is None:
            raise StepFailed(f"{stopped}.", f"Run again: {saved}.")
        job, most, done = self.allocation.job, int(os.environ.get(RESTARTS, "20")), 0
        end = time.monotonic() + float(os.environ.get(PATIENCE, "0"))
        while True:
            try:
                state = self.allocation.state()
                if state != "RUNNING":
                    raise StepFailed(f"{stopped}: job {job} was ended ({state}).", f"Run again: {saved}.")
                done = restarts(folder, job)
                if done >= most:
                    raise StepFailed(
                        f"{stopped}, and job {job} has been put back into the queue {done} times.",
                        f"Run again: {saved}. Or allow more restarts, or more minutes, in config/site.yaml.",
                    )
                back = f"job {job} goes back into the queue (restart {done + 1} of {most}), {saved}"
                print_line(f"~ {artifact}  {stopped}; {back}")
                self.allocation.requeue(partial(note_restart, folder, job))
            except SlurmUnavailable as error:
                if time.monotonic() > end or not AWAY.search(error.cause):
                    raise StepFailed(f"{stopped}. {error.cause}", f"Run again: {saved}.") from error
                time.sleep(SECONDS_BETWEEN)

    def _stopped(self, status: int) -> bool:
        """Whether the program ended because it was asked to, and not for a reason of its own."""
        if self.why is None or status == SAVED:
            return status == SAVED
        asked = {-signal.SIGTERM, -signal.SIGUSR1, 128 + signal.SIGTERM, 128 + signal.SIGUSR1}
        return status in asked or (status == 0 and self.firmly)  # asked by the file alone it may just have been done
