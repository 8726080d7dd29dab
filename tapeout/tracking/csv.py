"""Metrics in a table, one row per step: ``FOLDER/<artifact>-<action>.csv``."""

import csv
import io
from pathlib import Path

from tapeout.tracking.tracker import Run, Steps


class Tracker:
    """A file of comma-separated values; a metric that appears later becomes a further column."""

    def __init__(self, folder: str) -> None:
        """Write to a folder, which is created."""
        self.folder = Path(folder)
        self.columns: list[str] = []

    def open(self, run: Run) -> int:
        """Read the file of the run, and remove a row that an interrupted write left incomplete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / f"{run.file_name}.csv"
        data = self.path.read_bytes() if self.path.exists() else b""
        complete = data[: data.rfind(b"\n") + 1]
        if len(complete) < len(data):
            with open(self.path, "r+b") as file:
                file.truncate(len(complete))
        rows = list(csv.reader(io.StringIO(complete.decode())))
        self.columns = rows[0] if rows else []
        return int(rows[-1][0]) if len(rows) > 1 else 0

    def log(self, steps: Steps) -> None:
        """Append rows."""
        names = ["step", "time", *(name for values in steps.values() for name in values)]
        if new := [name for name in dict.fromkeys(names) if name not in self.columns]:
            self._add_columns(new)
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writerows({"step": step, **values} for step, values in steps.items())
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())

    def close(self, complete: bool) -> None:
        """Do nothing: every row is written at once."""

    def _add_columns(self, names: list[str]) -> None:
        """Write the file again with further columns, which are empty in the rows that it has."""
        self.columns += names
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        if self.path.exists():
            with open(self.path, encoding="utf-8", newline="") as file:
                writer.writerows(csv.DictReader(file))
        unfinished = self.path.with_name(f"{self.path.name}.tmp")
        unfinished.write_text(text.getvalue(), "utf-8")
        unfinished.replace(self.path)
