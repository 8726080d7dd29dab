"""Stop a running program with a checkpoint, and requeue its job.

A program is asked to stop by a file (``TAPEOUT_STOP``), because signals do not reliably pass through srun, containers
and launchers, and by SIGTERM. A program that can be resumed saves its state in ``TAPEOUT_STATE`` and exits with status
75. A program that has done all its work creates ``FINISHED`` beside that file.
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
from tapeout.graph.errors import StepStopped
from tapeout.program import StepFailed
from tapeout.slurm.allocation import Allocation, count_restarts, record_restart
from tapeout.slurm.client import CONTROLLER_AWAY, SlurmUnavailable
from tapeout.slurm.submit import PATIENCE, SECONDS_BETWEEN

SAVED = os.EX_TEMPFAIL
"""Exit status of a program that has saved a checkpoint from which it can resume."""

FINISHED = "finished"
"""File beside the stop file: the program has completed its work, even if it was asked to stop meanwhile."""

INTERRUPTS = (signal.SIGINT, signal.SIGHUP)
"""Requests to stop that are ignored if the parent process ignores them (nohup, a shell's background job)."""

LEAVE, RESTARTS = "TAPEOUT_LEAVE_SECONDS", "TAPEOUT_RESTARTS"
"""Environment variables: seconds before the time limit at which to stop, and how often one job may be requeued."""

MAX_PAUSE = 3600.0
"""Seconds between two queries of the time limit, which an administrator may change."""


class Stopper:
    """Context manager for a step that passes on requests to stop its program, from signals and from the time limit.

    SIGUSR1 and the time limit ask the program with the file alone; Ctrl-C (SIGINT), SIGTERM and SIGHUP (the terminal
    closes) with a signal too. A request that comes when the program has ended changes nothing: its complete output is
    stored. SIGINT after another request ends the step at once.

    Attributes:
        file: file whose existence asks the program to stop.
        reason: why the program was asked to stop; None if it was not.
        terminated: whether the request is passed on as a signal.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.reason: str | None = None
        self.terminated = False
        self.process: subprocess.Popen[str] | None = None
        self.signal = signal.SIGTERM
        self.ended = threading.Event()
        self.allocation = Allocation.here()
        for path in (file, file.with_name(FINISHED)):
            path.unlink(missing_ok=True)

    def __enter__(self) -> "Stopper":
        """Install the signal handlers, and watch the job's time limit."""
        requests = [signal.SIGUSR1, signal.SIGTERM, *(n for n in INTERRUPTS if signal.getsignal(n) != signal.SIG_IGN)]
        self.handlers = {number: signal.signal(number, self._on_signal) for number in requests}
        if self.allocation is not None:
            threading.Thread(target=self._watch_time_limit, args=(self.allocation,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the signal handlers."""
        self.ended.set()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def watch(self, process: "subprocess.Popen[str]", number: signal.Signals) -> None:
        """Set the program to stop and the signal that asks it; pass on a request that came before."""
        self.process, self.signal = process, number
        if self.reason is not None:
            self._request_stop()

    def forget(self) -> None:
        """Forget the program, which has ended: the system may give its process id to another."""
        self.process = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.reason is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run passes Ctrl-C on, which the terminal has sent too
            raise KeyboardInterrupt
        again = self.terminated
        self.reason = self.reason or signal.Signals(number).name
        self.terminated = self.terminated or number != signal.SIGUSR1
        if not again:
            self._request_stop()

    def _request_stop(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # the step is complete, and its scratch folder deleted
            self.file.touch()
        if self.terminated and self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, self.signal)

    def _watch_time_limit(self, allocation: Allocation) -> None:
        """Ask the program to stop shortly before the job's time limit."""
        leave = float(os.environ.get(LEAVE, "300"))
        pause, limit = 0.0, None
        while not self.ended.wait(pause):
            left = allocation.seconds_left()
            if left is None:
                pause = 60.0
                continue
            if limit is None:
                limit = allocation.time_limit()
            if limit is not None:
                leave = min(leave, limit / 4)  # a short job would otherwise stop before it has done anything
            if left <= leave:
                self.reason = self.reason or "the time limit"
                self._request_stop()
                return
            pause = min(left - leave, MAX_PAUSE)

    def handle_exit(self, artifact: str, script: str, status: int, folder: Path) -> None:
        """Requeue the job, or raise an error, if the program ended because it was asked to or saved a checkpoint.

        A job that continues to exist (approaching time limit, preemption) is requeued a bounded number of times; this
        process ends with it. Exit status 0 after SIGTERM does not count as success unless the program says that it has
        finished: many programs clean up and exit with 0 although only half of their output is written.

        Args:
            artifact: artifact that the program makes.
            script: the program.
            status: its exit status.
            folder: scratch folder of the action.

        Raises:
            StepStopped: the program was stopped on this machine.
            StepFailed: the program was stopped, and the job cannot be requeued.
        """
        if not self.was_stopped(status):
            return
        saved = any((folder / "state").glob("*"))
        resume = "it resumes from its checkpoint" if saved else "it starts from the beginning"
        stopped = f"{script} was stopped by {self.reason or 'itself'}"
        if self.allocation is None:
            raise StepStopped(f"{stopped}.", f"Resume by running the same command: {resume}.")
        job, max_restarts = self.allocation.job, int(os.environ.get(RESTARTS, "20"))
        end = time.monotonic() + float(os.environ.get(PATIENCE, "0"))
        while True:
            try:
                state = self.allocation.state()
                if state != "RUNNING":
                    raise StepFailed(f"{stopped}: job {job} was ended ({state}).", f"Run again: {resume}.")
                restarts = count_restarts(folder, job)
                if restarts >= max_restarts:
                    raise StepFailed(
                        f"{stopped}, and job {job} has been requeued {restarts} times.",
                        f"Run again: {resume}. Or allow more restarts, or more minutes, in config/site.yaml.",
                    )
                requeue = f"job {job} is requeued (restart {restarts + 1} of {max_restarts}), {resume}"
                print_line(f"~ {artifact}  {stopped}; {requeue}")
                self.allocation.requeue(partial(record_restart, folder, job))
            except SlurmUnavailable as error:
                if time.monotonic() > end or not CONTROLLER_AWAY.search(error.cause):
                    raise StepFailed(f"{stopped}. {error.cause}", f"Run again: {resume}.") from error
                time.sleep(SECONDS_BETWEEN)

    def was_stopped(self, status: int) -> bool:
        """Return whether the program ended because it was asked to or saved a checkpoint, and not by its own error."""
        if self.reason is None or status == SAVED:
            return status == SAVED
        asked = {-signal.SIGTERM, -signal.SIGUSR1, 128 + signal.SIGTERM, 128 + signal.SIGUSR1}
        # a program that was asked by the file alone may simply have finished
        return status in asked or (status == 0 and self.terminated and not self.file.with_name(FINISHED).exists())
