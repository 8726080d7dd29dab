"""Whether somebody wants this training to stop, keep its state, and go on later.

A file says so (``TAPEOUT_STOP``: signals do not pass srun, containers and torchrun reliably), and so do SIGTERM and
SIGUSR1. The process then ends at the next step with ``STOPPED``.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

STOPPED = 75
"""Exit status of a program that stopped because it was asked to: EX_TEMPFAIL, run it again and it goes on."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stop:
    """The wish to stop, once it is there.

    Args:
        files: each of them, when it appears, is such a wish.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.signalled = False

    def listen(self) -> None:
        """Take the signals as wishes from now on."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def wanted(self) -> bool:
        """Whether there was a signal, or there is a file."""
        return self.signalled or any(file.exists() for file in self.files)

    def _note(self, *_: object) -> None:
        self.signalled = True


def given_file() -> list[Path]:
    """The file that whoever runs this program creates when it is to stop; none if no such file was agreed on."""
    return [Path(os.environ["TAPEOUT_STOP"])] if "TAPEOUT_STOP" in os.environ else []
