"""Output of a program, which ends soon after the program does, whatever processes it leaves."""

import subprocess
import threading
import time
from collections.abc import Iterator
from queue import Empty, Queue

MAX_LINES = 1000
"""Lines that are read ahead."""
SECONDS_AFTER_END = 5.0
"""Seconds for which output is awaited after the end of the program. A process that it left in another session may keep
the pipe open for ever."""
SECONDS_BETWEEN_CHECKS = 0.5


def output_lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield the lines that a program writes to the pipe ``process.stdout``."""
    lines: Queue[str | None] = Queue(MAX_LINES)

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    end = None
    while end is None or time.monotonic() < end:
        try:
            line = lines.get(timeout=SECONDS_BETWEEN_CHECKS)
        except Empty:
            line = ""
        if line is None:
            return
        if line:
            yield line
        if end is None and process.poll() is not None:
            end = time.monotonic() + SECONDS_AFTER_END
