"""End a run on Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 so that the same command resumes it.

On SIGTERM Snakemake itself waits for its jobs without passing the signal to them. On SIGHUP and SIGUSR1 it exits while
they continue; Slurm sends SIGUSR1 before the time limit of a job that contains the whole run. With this handler each of
the signals ends planning immediately, and asks running steps to stop; a training saves a checkpoint first. A later
Ctrl-C ends all processes immediately. The executor cancels the jobs of a cluster.
"""

import atexit
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from tapeout.graph.console import print_line
from tapeout.graph.launch.process import children

SIGNALS = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "SIGHUP",
    signal.SIGUSR1: "SIGUSR1",
}
OWN = b"tapeout.graph."
"""Text in the command lines of the processes that jobs start: the runner and the program of the checkpoint."""
SECONDS_TO_END = 5.0
"""Time that planning, or steps after a second Ctrl-C, have to end before they are killed."""
SECONDS_BETWEEN_CHECKS = 0.05


class Interrupter:
    """Handler of the signals that end a run, in Snakemake's main process.

    Args:
        workflow: Snakemake's ``workflow`` object.

    Attributes:
        number: the first signal that was received; None if there was none.
        jobs: whether planning has ended, so that jobs may be running.
    """

    def __init__(self, workflow: Any) -> None:
        self.workflow = workflow
        self.number: int | None = None
        self.jobs = False

    def listen(self) -> None:
        """Install the signal handlers and the hooks at the start, failure and exit of the run."""
        self._set_handlers()
        self.workflow.onstart(lambda log: self._begin_jobs())
        self.workflow.onerror(lambda log: self._exit_if_interrupted())
        atexit.register(self._print_advice)

    def _set_handlers(self) -> None:
        """Set the handlers of the signals that the process does not ignore (as under nohup, or in the background)."""
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _begin_jobs(self) -> None:
        """Set the handlers again, because Snakemake's scheduler has just replaced that of SIGTERM."""
        self._exit_if_interrupted()
        self.jobs = True
        self._set_handlers()

    def _exit_if_interrupted(self) -> None:
        if self.number is not None:
            raise SystemExit(128 + self.number)

    def _print_advice(self) -> None:
        if self.number is not None:
            print_line("Resume by running the same command.")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if number == signal.SIGINT:
                self._end_at_once()
            return
        self.number = number
        if not self.jobs:
            print_line(f"Ended by {SIGNALS[signal.Signals(number)]} before a step began.")
            threading.Thread(target=self._end_late, daemon=True).start()
            raise SystemExit(128 + number)
        print_line(
            f"Stopping after {SIGNALS[signal.Signals(number)]}: trainings save their state, other steps end."
            f"{self._submitted()} Ctrl-C again ends at once."
        )
        threading.Thread(target=self._stop_steps, daemon=True).start()
        if not self.workflow.local_exec:
            raise KeyboardInterrupt  # the executor cancels its jobs

    def _submitted(self) -> str:
        """Return a sentence about the running jobs of a cluster; empty if there are none."""
        if self.workflow.local_exec:
            return ""
        jobs = [job for job in self.workflow.scheduler.running if not job.is_local]
        return f" Cancelling {len(jobs)} jobs in the cluster, which takes up to a minute." if jobs else ""

    def _stop_steps(self) -> None:
        """Start no further job, and ask each running step to stop, including steps that start meanwhile."""
        if self.workflow.local_exec:
            self.workflow.scheduler.exit_gracefully()
        asked: set[int] = set()
        while True:
            for pid in self._steps() - asked:
                _send(pid, signal.SIGTERM)
                asked.add(pid)
            time.sleep(SECONDS_BETWEEN_CHECKS)

    def _end_at_once(self) -> None:
        print_line("Ended at once by Ctrl-C. Resume by running the same command.")
        for pid in self._steps():
            _send(pid, signal.SIGINT)

        end = time.monotonic() + SECONDS_TO_END
        while self._steps() and time.monotonic() < end:
            time.sleep(SECONDS_BETWEEN_CHECKS)
        for pid in self._steps():
            _send(pid, signal.SIGKILL)
        os._exit(128 + signal.SIGINT)

    def _end_late(self) -> None:
        """End this process after ``SECONDS_TO_END``: a thread that waits for a server may keep it from exiting."""
        time.sleep(SECONDS_TO_END)
        os._exit(128 + (self.number or 0))

    def _steps(self) -> set[int]:
        """Return the process ids of running jobs."""
        return {pid for pid in children(os.getpid()) if OWN in _command_line(pid)}


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
