"""Read the journal of a training's metrics (``tapeout.train.metrics_journal``) while it grows."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIME = "time"
"""Key of the time of a line, in seconds since 1970; all other keys but ``step`` are metrics."""


@dataclass
class Journal:
    """Metrics of a training by step, as far as its journal has been read.

    Attributes:
        path: the file, which need not exist yet.
        total: number of steps of the training; None before its first line.
        steps: metrics and time of each step, of the attempt that continued; sorted by step.
    """

    path: Path
    total: int | None = None
    steps: dict[int, dict[str, float]] = field(default_factory=dict)
    _offset: int = 0

    @property
    def complete(self) -> bool:
        """True if the last step has been read."""
        return self.total is not None and self.total in self.steps

    def update(self) -> None:
        """Read the complete lines that were appended since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            self._read(line)

    def _read(self, line: bytes) -> None:
        """Read a line; one that an interrupted write left incomplete is skipped."""
        try:
            values: Any = json.loads(line)
        except ValueError:
            return
        if not isinstance(values, dict):
            return
        if "begin" in values:
            self.total = int(values["total"])
            self.steps = {step: known for step, known in self.steps.items() if step <= values["begin"]}
        elif "step" in values:
            self.steps[int(values["step"])] = {name: value for name, value in values.items() if name != "step"}
