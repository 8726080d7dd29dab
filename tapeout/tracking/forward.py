"""Program that forwards the journal of one training to one tracker.

``python -m tapeout.tracking.forward`` reads a request, one line of JSON, from its standard input, and forwards until
the training is complete or the input ends. It runs in a process of its own beside the training, so that no tracker can
fail, slow or influence it. At its end it prints one line of JSON: how many steps it forwarded, and the last one.
"""

import fcntl
import json
import select
from collections.abc import Callable
from pathlib import Path

from tapeout.tracking.journal import Journal
from tapeout.tracking.tracker import Run, Tracker, load_tracker

SECONDS_BETWEEN_READS = 1.0


def forward(tracker: Tracker, run: Run, journal: Journal, ended: Callable[[], bool]) -> dict[str, int]:
    """Forward the steps that a tracker lacks, until the training is complete or ``ended`` returns True.

    Args:
        tracker: the tracker.
        run: the training.
        journal: its metrics.
        ended: wait a little, and return whether this is the last time.

    Returns:
        ``forwarded``, the number of steps, and ``last``, the last step that the tracker has.
    """
    last = tracker.open(run)
    forwarded, over = 0, False
    while not over:
        over = ended()
        journal.update()
        new = {step: values for step, values in journal.steps.items() if step > last}
        if new:
            tracker.log(new)
            forwarded, last = forwarded + len(new), max(new)
        over = over or journal.complete
    tracker.close(journal.complete)
    return {"forwarded": forwarded, "last": last}


def main() -> None:
    """Forward as the request says; a second process for the same tracker and training waits until the first ends."""
    with open(0, "rb", buffering=0, closefd=False) as requests:  # a buffer would hide from select what it has read
        request = json.loads(requests.readline())
    journal, name = Path(request["journal"]), request["tracker"]

    def ended() -> bool:
        readable, _, _ = select.select([0], [], [], SECONDS_BETWEEN_READS)
        return bool(readable)

    with open(journal.with_suffix(f".{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tracker = load_tracker(name, request["options"])
        result = forward(tracker, Run(**request["run"]), Journal(journal), ended)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
