"""Metrics as scalars of TensorBoard: event files in ``FOLDER/<artifact>-<action>``, one for each attempt."""

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tapeout.tracking.tracker import Run, Steps


class Tracker:
    """Folder of event files, which TensorBoard shows as one run."""

    def __init__(self, folder: str) -> None:
        """Write to a folder, which is created."""
        self.folder = Path(folder)
        self.writer: EventFileWriter | None = None

    def open(self, run: Run) -> int:
        """Read the last step of all event files of the run."""
        self.path = self.folder / run.file_name
        files = sorted(self.path.glob("events.out.tfevents.*"))
        # a record contains all metrics of a step, and the reader ends before one that is incomplete
        events = (Event.FromString(record) for file in files for record in RawEventFileLoader(str(file)).Load())
        return max((event.step for event in events if event.HasField("summary")), default=0)

    def log(self, steps: Steps) -> None:
        """Append one event per step to a new file of this attempt, and flush it."""
        if self.writer is None:
            self.path.mkdir(parents=True, exist_ok=True)
            self.writer = EventFileWriter(str(self.path))
        for step, values in steps.items():
            metrics = [
                Summary.Value(tag=name, simple_value=value) for name, value in sorted(values.items()) if name != "time"
            ]
            self.writer.add_event(Event(wall_time=values["time"], step=step, summary=Summary(value=metrics)))
        self.writer.flush()

    def close(self, complete: bool) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
