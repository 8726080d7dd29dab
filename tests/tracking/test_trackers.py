"""A training that was interrupted, as was its forwarding, is one complete run in each tracker.

Each tracker is read back with its own library. The forwarding is killed after some steps, in a state in which a
record is incomplete, and the training repeats steps that were forwarded before.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore

from tapeout.tracking.tracker import TRACKERS
from tapeout.train.metrics_journal import MetricsJournal

pytestmark = [pytest.mark.environment("tracking"), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TOTAL = 400
STOPPED, KILLED_AT, CHECKPOINT = 100, 240, 80
"""Steps after which the forwarding ends, and is killed; step from which the training resumes."""
RUN = {"action": "0123456789abcdef" * 4, "name": "dapt/model", "config": {"lr": 0.01, "layout": {"devices": 2}}}
KILLED = """
import json, os, signal, sys
from tapeout.tracking.tracker import Run, load_tracker
request, steps = json.loads(sys.argv[1]), json.loads(sys.argv[2])
tracker = load_tracker(request["tracker"], request["options"])
assert tracker.open(Run(**request["run"])) == min(map(int, steps)) - 1
for step, values in steps.items():
    tracker.log({int(step): values})
os.kill(os.getpid(), signal.SIGKILL)
"""


def metrics(step: int) -> dict[str, float]:
    """Return the metrics of a step, without the speed, which is different in every attempt."""
    values = {"loss": 10 / step, "learning_rate": step / 1000, "gradient_norm": 1 + 1 / step, "tokens": 64 * step}
    return values | ({"validation_loss": 11 / step} if step % 50 == 0 else {})


EXPECTED = {
    name: [(step, metrics(step)[name]) for step in range(1, TOTAL + 1) if name in metrics(step)]
    for name in ("loss", "learning_rate", "gradient_norm", "tokens", "validation_loss")
}


def options(name: str, folder: Path) -> dict[str, Any]:
    return {
        "csv": {"folder": str(folder / "tables")},
        "tensorboard": {"folder": str(folder / "events")},
        "mlflow": {"uri": f"file://{folder}/mlflow", "experiment": "chips"},
        "wandb": {"project": "chips", "mode": "offline", "folder": str(folder / "wandb files")},
    }[name]


def write_attempt(journal: Path, begin: int, end: int) -> None:
    writer = MetricsJournal(journal)
    writer.begin(begin, TOTAL)
    for step in range(begin + 1, end + 1):
        writer.append({"step": step, **metrics(step)})


def environment(folder: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "MLFLOW_"))}
    return clean | {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def forward_and_kill(name: str, folder: Path, first: int, last: int) -> None:
    """Forward steps one after another, and kill the process after the last of them."""
    request = {"tracker": name, "options": options(name, folder), "run": RUN}
    steps = {step: {**metrics(step), "time": 1000.0 + step} for step in range(first, last + 1)}
    command = [sys.executable, "-c", KILLED, json.dumps(request), json.dumps(steps)]
    done = subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def forward(
    name: str, folder: Path, journal: Path, changed: Mapping[str, Any] = {}
) -> "subprocess.CompletedProcess[str]":
    request = {"tracker": name, "options": {**options(name, folder), **changed}, "run": RUN, "journal": str(journal)}
    return subprocess.run(
        [sys.executable, "-m", "tapeout.tracking.forward"],
        input=json.dumps(request) + "\n",
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )


def result(done: "subprocess.CompletedProcess[str]") -> dict[str, int]:
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def leave_incomplete(name: str, folder: Path) -> None:
    """Bring a tracker into the state in which a kill leaves it that interrupts the writing of a step."""
    if name == "mlflow":
        client = MlflowClient(options(name, folder)["uri"])
        (run,) = client.search_runs([client.get_experiment_by_name("chips").experiment_id])
        step = max(metric.step for metric in client.get_metric_history(run.info.run_id, "loss")) + 1
        client.log_batch(run.info.run_id, [Metric("gradient_norm", metrics(step)["gradient_norm"], 0, step)])
    else:
        patterns = {"csv": "tables/*", "tensorboard": "events/*/*", "wandb": "wandb files/wandb/offline-*/*.wandb"}
        newest = max(folder.glob(patterns[name]), key=lambda path: path.stat().st_mtime_ns)
        with open(newest, "ab") as torn:
            torn.write(b"9,17" if name == "csv" else b"\x18\x00\x00\x00\x00")


Points = Mapping[str, list[tuple[int, float]]]


def read_csv(folder: Path) -> Points:
    (file,) = (folder / "tables").iterdir()
    assert file.name == "dapt.model-0123456789abcdef.csv"
    rows = list(csv.DictReader(file.open()))
    return {name: [(int(row["step"]), float(row[name])) for row in rows if row[name]] for name in EXPECTED}


def read_tensorboard(folder: Path) -> Points:
    (run,) = (folder / "events").iterdir()
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_mlflow(folder: Path) -> Points:
    client = MlflowClient(options("mlflow", folder)["uri"])
    (run,) = client.search_runs([client.get_experiment_by_name("chips").experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "dapt/model"
    assert run.data.params == {"lr": "0.01", "layout.devices": "2"}
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def read_wandb(folder: Path) -> Points:
    points: dict[str, list[tuple[int, float]]] = {}
    runs, incomplete = [], 0
    for file in sorted((folder / "wandb files").glob("wandb/offline-run-*/*.wandb")):
        store = DataStore()
        store.open_for_scan(str(file))
        records = []
        try:
            while (data := store.scan_data()) is not None:
                records.append(Record.FromString(data))
        except AssertionError:
            incomplete += 1
        runs += [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
        for record in records:
            if record.WhichOneof("record_type") == "history":
                for item in record.history.item:
                    name = item.key or "/".join(item.nested_key)
                    points.setdefault(name, []).append((record.history.step.num, json.loads(item.value_json)))
    assert {(run.run_id, run.project, run.display_name) for run in runs} == {
        ("0123456789abcdef0123456789abcdef", "chips", "dapt/model")
    }
    configs = [{item.key: json.loads(item.value_json) for item in run.config.update} for run in runs]
    assert incomplete == 1 and len(runs) == 3
    assert all(config["lr"] == 0.01 and config["action"] == RUN["action"] for config in configs)
    assert all(time > 1000 for _, time in points["_timestamp"])
    return points


@pytest.mark.parametrize("name", TRACKERS)
def test_a_killed_and_resumed_training_is_one_complete_run(name: str, tmp_path: Path) -> None:
    journal = tmp_path / "metrics" / "action.jsonl"
    write_attempt(journal, 0, STOPPED)
    assert result(forward(name, tmp_path, journal)) == {"forwarded": STOPPED, "last": STOPPED}
    forward_and_kill(name, tmp_path, STOPPED + 1, KILLED_AT)
    leave_incomplete(name, tmp_path)
    write_attempt(journal, CHECKPOINT, TOTAL)  # the training repeats steps that were forwarded before
    completed = result(forward(name, tmp_path, journal))
    # W&B writes blocks of 32 KiB, so that the killed process has left only the first of its steps
    assert completed["last"] == TOTAL
    missing = TOTAL - KILLED_AT
    assert missing < completed["forwarded"] < TOTAL - STOPPED if name == "wandb" else completed["forwarded"] == missing
    assert result(forward(name, tmp_path, journal)) == {"forwarded": 0, "last": TOTAL}
    points = {"csv": read_csv, "tensorboard": read_tensorboard, "mlflow": read_mlflow, "wandb": read_wandb}[name](
        tmp_path
    )
    assert points.keys() >= EXPECTED.keys()
    for metric, expected in EXPECTED.items():
        assert [step for step, _ in points[metric]] == [step for step, _ in expected], metric
        # TensorBoard has 32-bit floats
        assert [value for _, value in points[metric]] == pytest.approx([value for _, value in expected], rel=1e-7)


def test_a_tracker_that_fails_says_so(tmp_path: Path) -> None:
    journal = tmp_path / "action.jsonl"
    write_attempt(journal, 0, TOTAL)
    (tmp_path / "file").touch()
    for name, changed in (("csv", {"folder": str(tmp_path / "file")}), ("wandb", {"mode": "online"})):
        done = forward(name, tmp_path, journal, changed)
        assert done.returncode == 1 and {"csv": "FileExistsError", "wandb": "api_key"}[name] in done.stderr
