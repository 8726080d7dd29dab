"""Two runs on one store that want to build the same: the second waits, but not with a cluster's nodes in its hands."""

import time

from tapeout.graph.console import print_line
from tapeout.graph.errors import StepFailed
from tapeout.graph.store.store import Store
from tapeout.slurm.allocation import Allocation

SECONDS = 120
"""How long a job waits: a shared file system may take as long to give up the lock of a node that died."""
SECONDS_BETWEEN = 2.0


def alone(store: Store, action: str, artifact: str) -> None:
    """Return when no other run builds the artifact, or, on a machine of one's own, at once, having said that one does.

    Raises:
        StepFailed: in a job of a cluster, the other run has still not done.
    """
    end = time.monotonic() + SECONDS
    while store.is_locked(action):
        if Allocation.here() is None:
            print_line(f"~ {artifact}  another run on this store builds it: waiting")
            return
        if time.monotonic() > end:
            raise StepFailed(
                f"Another run on this store builds {artifact} at this moment.",
                "Run again when that one is done: the artifact is then restored.",
            )
        time.sleep(SECONDS_BETWEEN)
