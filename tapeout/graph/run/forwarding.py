"""Forward the metrics of a step to the site's trackers while its program runs.

Each tracker has a process of its own (``tapeout.tracking.forward``), outside of the step's environment. Nothing that
it does can fail the step, or delay it by more than ``SECONDS_TO_END`` after its end. The journal remains, so
that ``tapeout track`` can forward the rest.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tapeout.errors import TapeoutError
from tapeout.graph.bookkeeping import bookkeeping
from tapeout.graph.errors import InvalidEnvironment
from tapeout.graph.identity.environment import read_environment
from tapeout.graph.launch.process import die_with_parent
from tapeout.graph.run.step import Step

PROGRAM = "tapeout.tracking.forward"
VARIABLE = "TAPEOUT_TRACKING"
"""Environment variable of a run: options of the trackers by name, as JSON; absent if there is none."""
ENVIRONMENT = "tracking"
WITHOUT_ENVIRONMENT = ("csv",)
"""Trackers that need no package."""
SECONDS_BETWEEN_CHECKS = 1.0
SECONDS_TO_END = 30.0
SECONDS_TO_KILL = 10.0
"""Seconds until a tracker that was killed is left alone: it may be waiting for a disk that does not answer."""


class TrackerFailed(TapeoutError):
    """A tracker did not get all metrics of a training, which is not affected by that."""


class Forwarder:
    """Process that forwards the metrics of one action to one tracker.

    Attributes:
        tracker: name of the tracker.
        fix: what to do if it fails.
    """

    def __init__(self, tracker: str, options: dict[str, Any], run: Mapping[str, Any], journal: Path) -> None:
        """Start the process.

        Args:
            tracker: name of the tracker.
            options: its options in the site file.
            run: fields of ``tapeout.tracking.tracker.Run``.
            journal: file of the metrics.

        Raises:
            TrackerFailed: the trackers' environment is not installed.
        """
        self.tracker, self.fix = tracker, f"To forward later: tapeout track {run['name']}"
        python = sys.executable
        if tracker not in WITHOUT_ENVIRONMENT:
            try:
                environment = read_environment(ENVIRONMENT)
                environment.require()
            except InvalidEnvironment as error:
                raise TrackerFailed(f"{tracker} was not started: {error.cause}", f"{error.fix}. {self.fix}") from None
            python = str(environment.python)
        parent = os.getpid()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads could fill up
        self.process = subprocess.Popen(
            [python, "-P", "-m", PROGRAM],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,  # Ctrl-C reaches the training first
            preexec_fn=lambda: die_with_parent(parent),
        )
        request = {"tracker": tracker, "options": options, "run": run, "journal": str(journal.absolute())}
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # its exit status says more
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Let the process end when it has forwarded what the journal has now."""
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdin = None

    def result(self, seconds: float | None) -> dict[str, int]:
        """Wait for the end of the process, and kill it after ``seconds``; None stands for no limit.

        Returns:
            ``forwarded``, the number of steps, and ``last``, the last step that the tracker has.

        Raises:
            TrackerFailed: it ended with an error, or was killed.
        """
        assert self.process.stdout is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(SECONDS_TO_KILL)
            raise TrackerFailed(f"{self.tracker} did not end in time.", self.fix) from None
        output = self.process.stdout.read()
        if self.process.returncode:
            self.errors.seek(0)
            last = self.errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            cause = f"{self.tracker} ended with status {self.process.returncode}: {last.rstrip('.')}."
            raise TrackerFailed(cause, self.fix)
        result: dict[str, int] = json.loads(output.splitlines()[-1])
        return result


class Forwarding:
    """Forwarders of a step, while the context is active; they start when its program has written metrics."""

    def __init__(self, step: Step) -> None:
        """Read the trackers from the environment."""
        self.step = step
        self.trackers: dict[str, dict[str, Any]] = json.loads(os.environ.get(VARIABLE, "{}"))
        self.journal = step.workspace.metrics_path(step.action.digest)
        self.before = self._state()
        self.program_ended = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        if self.trackers:
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program_ended.set()
        if self.trackers:
            self.thread.join(SECONDS_TO_END + SECONDS_TO_KILL)

    def _work(self) -> None:
        """Wait for metrics, start the forwarders, and wait for their end.

        One thread does all of it, because the kernel ends the processes when the thread ends that has started them.
        """
        while self._state() == self.before:
            if self.program_ended.wait(SECONDS_BETWEEN_CHECKS) and self._state() == self.before:
                return
        active = [forwarder for name in sorted(self.trackers) if (forwarder := self._start(name)) is not None]
        while active and not self.program_ended.wait(SECONDS_BETWEEN_CHECKS):
            for forwarder in [forwarder for forwarder in active if forwarder.process.poll() is not None]:
                self._report(forwarder, None)
                active.remove(forwarder)
        for forwarder in active:
            forwarder.end()
        end = time.monotonic() + SECONDS_TO_END
        for forwarder in active:
            self._report(forwarder, max(0.0, end - time.monotonic()))

    def _start(self, name: str) -> Forwarder | None:
        run = {"action": self.step.action.digest, "name": self.step.recipe.artifact, "config": self.step.recipe.params}
        with bookkeeping(f"{self.step.recipe.artifact} is not forwarded to {name}"):
            return Forwarder(name, self.trackers[name], run, self.journal)
        return None

    def _report(self, forwarder: Forwarder, seconds: float | None) -> None:
        with bookkeeping(f"{self.step.recipe.artifact} is not forwarded to {forwarder.tracker}"):
            forwarder.result(seconds)

    def _state(self) -> tuple[int, int]:
        """Return size and time of the journal; zeros if it is empty, as it is for steps that report no metrics."""
        try:
            status = self.journal.stat()
        except FileNotFoundError:
            return 0, 0
        return (status.st_size, status.st_mtime_ns) if status.st_size else (0, 0)
