"""Files that another node has written and that are not seen here yet: shared file systems are late by seconds."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from tapeout.graph.errors import DamagedEntry, InputChanged, UnknownArtifact

SECONDS = "TAPEOUT_LATE_SECONDS"
"""Variable: how late a file may appear; a run on one machine does not wait."""
SECONDS_BETWEEN = 0.5

T = TypeVar("T")


def patiently(look: Callable[[], T]) -> T:
    """What ``look`` returns as soon as it finds everything as it should be.

    Raises:
        InputChanged, DamagedEntry, UnknownArtifact: it still does not when the file system has had its time.
    """
    end = time.monotonic() + float(os.environ.get(SECONDS, "0"))
    while True:
        try:
            return look()
        except (InputChanged, DamagedEntry, UnknownArtifact):
            if time.monotonic() >= end:
                raise
            time.sleep(SECONDS_BETWEEN)
