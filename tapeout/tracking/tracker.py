"""Interface of a tracker, and the trackers by name.

The tracker itself is the record of what it has: ``open`` returns the last step. Nothing is therefore lost or sent twice
however a process is killed, and no file can disagree with the tracker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

TRACKERS = ("csv", "mlflow", "tensorboard", "wandb")
"""Modules of this package, each with a class ``Tracker`` that is created with its options in the site file."""

Steps = Mapping[int, Mapping[str, float]]
"""Metrics and ``time`` (seconds since 1970) by step, in ascending order."""


@dataclass(frozen=True)
class Run:
    """A training, as trackers show it.

    Attributes:
        action: digest of its action, by which a resumed training finds its run.
        name: the artifact.
        config: its parameters.
    """

    action: str
    name: str
    config: dict[str, Any]

    @property
    def id(self) -> str:
        """Identifier of the run in every tracker."""
        return self.action[:32]

    @property
    def file_name(self) -> str:
        """Name of the run's file or folder: readable, and different for every action."""
        return f"{self.name.replace('/', '.')}-{self.action[:16]}"

    def flat_config(self) -> dict[str, str]:
        """Return the parameters as text, those of a section as ``section.key``."""
        flat: dict[str, str] = {}

        def add(prefix: str, value: Any) -> None:
            if isinstance(value, dict) and value:
                for key, part in sorted(value.items()):
                    add(f"{prefix}.{key}" if prefix else key, part)
            else:
                flat[prefix] = str(value)

        add("", self.config)
        return flat


class Tracker(Protocol):
    """A tracker; its errors are those of its library, and end the process that forwards to it."""

    def open(self, run: Run) -> int:
        """Find or create the run; return the last step that it has completely, 0 if it has none."""

    def log(self, steps: Steps) -> None:
        """Add steps after the last one, and write or send them."""

    def close(self, complete: bool) -> None:
        """End the connection; ``complete`` states whether the training has ended."""


def load_tracker(name: str, options: dict[str, Any]) -> Tracker:
    """Return a tracker of ``TRACKERS``."""
    tracker: Tracker = import_module(f"tapeout.tracking.{name}").Tracker(**options)
    return tracker
