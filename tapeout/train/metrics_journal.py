"""Journal of a training's metrics: one line of JSON per step, for the live plot and for trackers.

``TAPEOUT_METRICS`` is its file; without it none is written. The first rank appends to it. It is outside of the output,
so it is part of no artifact, and the training imports no tracker: ``tapeout.tracking`` reads the file and forwards it.
An attempt begins with the line ``{"begin": STEP, "total": STEPS}``: it continues after STEP, and what earlier attempts
wrote about later steps is void. A training that ends early states its number of steps by such a line. A line may be
incomplete if a process was killed.
"""

import json
import os
import sys
import time
from pathlib import Path

VARIABLE = "TAPEOUT_METRICS"


class MetricsJournal:
    """File to which a training appends its metrics."""

    def __init__(self, path: Path | None) -> None:
        """Write to a file, or nowhere."""
        self.path = path

    @classmethod
    def configured(cls, first: bool) -> "MetricsJournal":
        """Return the journal that the environment names, which only the first rank writes."""
        name = os.environ.get(VARIABLE)
        return cls(Path(name) if name and first else None)

    def begin(self, step: int, total: int) -> None:
        """State that an attempt of ``total`` steps continues after a step, 0 for the beginning."""
        # the blank line ends the line of an attempt that was killed while it wrote
        self._append(f"\n{json.dumps({'begin': step, 'total': total})}\n")

    def append(self, values: dict[str, float]) -> None:
        """Append the metrics of a step, of which one is ``step``, and the time in seconds since 1970."""
        self._append(json.dumps({**values, "time": round(time.time(), 3)}) + "\n")

    def _append(self, text: str) -> None:
        """Append to the file and flush; the training continues without a journal if that fails."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            print(f"No more metrics are written to {self.path}: {error.strerror}.", file=sys.stderr, flush=True)
            self.path = None
