"""Metrics and parameters in Weights & Biases: online, or offline in a folder that ``wandb sync`` uploads later.

The library writes a folder ``offline-run-<time>-<id>`` for each attempt. All have the id of the run, so an upload of
all of them gives one run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore

from tapeout.tracking.tracker import Run, Steps


class Tracker:
    """A run of a W&B project."""

    def __init__(self, project: str, mode: str, folder: str) -> None:
        """Write to a folder, which is created; the key of the service comes from W&B's own environment variables."""
        self.project, self.mode, self.folder = project, mode, Path(folder)
        self.session: Any = None

    def open(self, run: Run) -> int:
        """Find the run, at the service or in the folder; offline its folder is created with the first step."""
        self.run = run
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.mode == "offline":
            files = sorted(self.folder.glob(f"wandb/offline-run-*-{run.id}/run-{run.id}.wandb"))
            return max((step for file in files for step in recorded_steps(file)), default=0)
        self._start()
        return int(self.session.step) - 1 if self.session.resumed else 0

    def log(self, steps: Steps) -> None:
        """Add one row of the history per step."""
        if self.session is None:
            self._start()
        for step, values in steps.items():
            metrics = {name: value for name, value in values.items() if name != "time"}
            self.session.log({**metrics, "_timestamp": values["time"]}, step=step, commit=True)

    def close(self, complete: bool) -> None:
        """Wait until everything is written or sent; a run whose training has not ended counts as failed there."""
        if self.session is not None:
            self.session.finish(exit_code=0 if complete else 1)

    def _start(self) -> None:
        """Start the session, without the code, machine and output of this process, which is not the training."""
        self.session = wandb.init(
            project=self.project,
            id=self.run.id,
            name=self.run.name,
            config=self.run.config | {"action": self.run.action},
            resume="allow" if self.mode == "online" else None,
            settings=wandb.Settings(
                mode=self.mode,
                root_dir=str(self.folder),
                console="off",
                silent=True,
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        )


def recorded_steps(file: Path) -> Iterator[int]:
    """Yield the steps in a file of the library, up to a record that a killed process left incomplete."""
    store = DataStore()
    store.open_for_scan(str(file))
    while True:
        try:
            data = store.scan_data()
        except AssertionError:
            return
        if data is None:
            return
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            yield record.history.step.num
