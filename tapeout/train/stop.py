"""Whether somebody wants this training to stop, keep its state, and go on later.

A file says so (``TAPEOUT_STOP``: signals do not pass srun, containers and torchrun reliably), and so do SIGTERM and
SIGUSR1. The process then ends at the next step with ``STOPPED``.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

STOPPED = 75
"""Exit status of a program that stopped because it was asked to: EX_TEMPFAIL, run it again and it goes on."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
SECONDS_TO_HEAR = 2.0


class Stop:
    """The wish to stop, once it is there.

    Args:
        files: each of them, when it appears, is such a wish.
        starter: the one of them that the starter of this rank creates when it gets a signal; None if this process is
            the only one.
    """

    def __init__(self, files: Sequence[Path], starter: Path | None = None) -> None:
        self.files, self.starter = files, starter
        self.signalled = False

    def listen(self) -> None:
        """Be ready for the signals from now on."""
        for number in SIGNALS:
            signal.signal(number, self._note if self.starter is None else self._ask)

    def wanted(self) -> bool:
        """Whether there was a signal, or there is a file."""
        return self.signalled or any(file.exists() for file in self.files)

    def _note(self, *_: object) -> None:
        self.signalled = True

    def _ask(self, *_: object) -> None:
        """In a rank: who wants all to stop tells the starter too. A signal to ranks alone is torchrun's: one failed."""
        assert self.starter is not None
        deadline = time.monotonic() + SECONDS_TO_HEAR
        while not self.starter.exists():
            if time.monotonic() > deadline:
                os._exit(128 + signal.SIGTERM)
            time.sleep(0.05)


def given_file() -> list[Path]:
    """The file that whoever runs this program creates when it is to stop; none if no such file was agreed on."""
    return [Path(os.environ["TAPEOUT_STOP"])] if "TAPEOUT_STOP" in os.environ else []
