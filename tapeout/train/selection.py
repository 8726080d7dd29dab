"""Selection of the best weights of a training, and its end when the validation loss no longer improves.

What is selected, and when the training ends, follow from the validation losses in the log. The weights of the best
step so far are kept in memory and are part of each checkpoint; when the training ends, they replace the last ones
before the model is written.
"""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, distributed

from tapeout.config.training import Training
from tapeout.config.validated_training import METRIC, ValidatedTraining
from tapeout.errors import TapeoutError, did_you_mean
from tapeout.train.optimizers import copy_tensors

Entry = dict[str, Any]
"""A validation in the log: step, loss and, if they are measured, the categories."""


class UnknownMetric(TapeoutError):
    """A training should monitor a category that its validation split does not have."""


class Selection:
    """The best of the validated steps of a training."""

    def __init__(self, job: Training, categories: Collection[str]) -> None:
        """Read the options of the job; one without a validation split keeps the weights of its last step.

        Raises:
            UnknownMetric: no validation row has the monitored category.
        """
        options = job if isinstance(job, ValidatedTraining) else None
        self.active = options is not None and options.monitors
        self.best_weights = options is not None and options.selection == "best"
        self.patience = options.patience if options is not None else None
        self.monitor = options.monitor if options is not None else METRIC
        self.category = self.monitor.partition("/")[2]
        self.max_steps = job.max_steps
        self.weights: dict[str, Tensor] = {}
        if self.category and self.category not in categories:
            raise UnknownMetric(
                f"No validation row has the category {self.category} that monitor names"
                f"{did_you_mean(self.category, categories)}",
                f"Name one of {', '.join(sorted(categories))}.",
            )

    def agreed(self, entry: Entry) -> Entry:
        """Return the entry of the first rank, so that no rank decides by other last bits; every rank calls this."""
        if not self.active or distributed.get_world_size() == 1:
            return entry
        entries = [entry]
        distributed.broadcast_object_list(entries, src=0)
        return entries[0]

    def update(self, validation: list[Entry], weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of the weights in the host's memory if the newest validation is the best one."""
        if self.best_weights and self._best(validation) == len(validation) - 1:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def exhausted(self, validation: list[Entry]) -> bool:
        """Return whether the last ``patience`` validations were no improvement."""
        if self.patience is None or not validation:
            return False
        return len(validation) - 1 - self._best(validation) >= self.patience

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Replace the weights of the last step by those of the best one, if these are wanted."""
        if self.best_weights:
            copy_tensors(self.weights, weights)

    def report(self, validation: list[Entry]) -> dict[str, Any]:
        """Return which step the trained model is from, and why the training ended."""
        entry = validation[self._best(validation) if self.best_weights else -1]
        ended = "max_steps" if validation[-1]["step"] == self.max_steps else "patience"
        return {"step": entry["step"], "monitor": self.monitor, "value": self._value(entry), "ended_by": ended}

    def _best(self, validation: list[Entry]) -> int:
        """Return the index of the lowest value, the first of equal ones."""
        values = [self._value(entry) for entry in validation]
        return values.index(min(values))

    def _value(self, entry: Entry) -> float:
        value: float = entry["categories"][self.category]["loss"] if self.category else entry["loss"]
        return value
