"""Metrics and parameters in MLflow: a server, or a folder (``file:///...``)."""

from collections.abc import Iterator
from itertools import islice

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from tapeout.tracking.tracker import Run, Steps

ACTION_TAG = "tapeout.action"
"""Tag by which a run is found again; MLflow chooses the ids of runs itself."""
LAST_WRITTEN = "loss"
"""Metric that is written after the others of its step, so that its last step has all metrics."""
MAX_METRICS = 1000
MAX_PARAMS = 100
"""Of one request, by MLflow's interface."""
MAX_PARAM_CHARACTERS = 6000


class Tracker:
    """A run of an MLflow experiment."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Connect to a server, or to a folder; credentials come from MLflow's own environment variables."""
        self.client, self.experiment = MlflowClient(uri), experiment
        self.last: dict[str, int] = {}

    def open(self, run: Run) -> int:
        """Find the run by its tag, or create it, and read the last step of each metric."""
        known = self.client.get_experiment_by_name(self.experiment)
        experiment = known.experiment_id if known is not None else self.client.create_experiment(self.experiment)
        runs = self.client.search_runs([experiment], f"tags.`{ACTION_TAG}` = '{run.action}'")
        found = (
            runs[0] if runs else self.client.create_run(experiment, tags={ACTION_TAG: run.action}, run_name=run.name)
        )
        self.run = found.info.run_id
        self.client.update_run(self.run, status="RUNNING")
        params = (Param(name, text[:MAX_PARAM_CHARACTERS]) for name, text in run.flat_config().items())
        while batch := list(islice(params, MAX_PARAMS)):
            self.client.log_batch(self.run, params=batch)
        for name in found.data.metrics:
            self.last[name] = max(metric.step for metric in self.client.get_metric_history(self.run, name))
        return self.last.get(LAST_WRITTEN, 0)

    def log(self, steps: Steps) -> None:
        """Send the metrics that the run lacks; of the first step it may have some, if a process was killed."""
        metrics = self._metrics(steps)
        while batch := list(islice(metrics, MAX_METRICS)):
            self.client.log_batch(self.run, metrics=batch)

    def close(self, complete: bool) -> None:
        """End the run if the training has ended; otherwise it remains a running one."""
        if complete:
            self.client.set_terminated(self.run)

    def _metrics(self, steps: Steps) -> Iterator[Metric]:
        for step, values in steps.items():
            for name in sorted(values.keys() - {"time"}, key=lambda name: (name == LAST_WRITTEN, name)):
                if step > self.last.get(name, 0):
                    yield Metric(name, values[name], round(1000 * values["time"]), step)
