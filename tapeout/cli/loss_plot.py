"""Live plot of the loss of the training that runs, from the journal of its metrics."""

from dataclasses import dataclass
from pathlib import Path

from tapeout.cli.plot import plot
from tapeout.graph.errors import UnreadableState
from tapeout.graph.run.monitor import StepStatus, View
from tapeout.graph.workspace import Workspace
from tapeout.tracking.journal import Journal

LOSS, VALIDATION = "*", "o"
FRAME = 4
"""Lines of a plot besides those between its axes: a blank one, the title, the axis and its labels."""
DEFAULT_LINES = 10
MAX_LINES = 15
MIN_LINES = 4
"""Lines between the axes: where the terminal has no limit, at most, and at least; a lower terminal shows no plot."""


@dataclass
class LossPlot:
    """Plot of one view after another; a journal is read once.

    Attributes:
        workspace: the folder of the run.
        journal: journal of the training that was shown last.
    """

    workspace: Workspace
    journal: Journal | None = None

    def lines(self, view: View, width: int, height: int | None) -> list[str]:
        """Return the lines of the plot of the running training that reported last; none if no training runs.

        Args:
            view: the run.
            width: characters of a line.
            height: lines of the terminal, of which the plot takes less than half; None stands for no limit.
        """
        room = DEFAULT_LINES if height is None else min(MAX_LINES, height // 2 - FRAME)
        found = self._latest(view)
        if found is None or room < MIN_LINES:
            return []
        artifact, path = found
        if self.journal is None or self.journal.path != path:
            self.journal = Journal(path)
        self.journal.update()
        steps = self.journal.steps
        losses = {step: values["loss"] for step, values in steps.items()}
        validation = {step: values["validation_loss"] for step, values in steps.items() if "validation_loss" in values}
        title = f"Loss of {artifact} ({LOSS})" + (f" and validation loss ({VALIDATION})" if validation else "")
        lines = plot({LOSS: losses, VALIDATION: validation}, self.journal.total or 1, width, room)
        return ["", title, *lines] if lines else []

    def _latest(self, view: View) -> tuple[str, Path] | None:
        """Return artifact and journal of the running step whose journal was written last; None without a journal."""
        found: list[tuple[float, str, Path]] = []
        for row in view.rows:
            if row.status in (StepStatus.RUNNING, StepStatus.UNKNOWN):
                try:
                    path = self.workspace.metrics_path(self.workspace.action(row.artifact).digest)
                    found.append((path.stat().st_mtime, row.artifact, path))
                except (UnreadableState, FileNotFoundError):
                    continue
        return max(found)[1:] if found else None
