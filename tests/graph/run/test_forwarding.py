"""A run forwards the metrics of a step while it runs; trackers change no identity and fail no step."""

import csv
import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tapeout.graph.run.forwarding import VARIABLE, Forwarder, TrackerFailed
from tapeout.graph.workspace import Workspace
from tests.cli.conftest import call
from tests.graph.conftest import Project

TRAIN = """
import os, time
from pathlib import Path
journal, state = Path(os.environ["TAPEOUT_METRICS"]), Path(os.environ["TAPEOUT_STATE"], "2")
resumed = state.exists()
assert (journal.stat().st_size > 0) == resumed
with journal.open("a") as file:
    file.write('\\n{"begin": %d, "total": 5}\\n' % (2 if resumed else 0))
    for step in (3, 4, 5) if resumed else (1, 2, 3):
        file.write('{"step": %d, "loss": %d, "time": 1}\\n' % (step, 10 - step))
state.touch()
for _ in range(12000):  # ten minutes: longer than a test, so that a lost one ends
    if Path("SHARED/go").exists():
        break
    time.sleep(0.05)
"""


@pytest.fixture
def training(project: Project) -> Project:
    """The small project, whose step ``model`` writes metrics and waits for the file ``go``."""
    waiting = TRAIN.replace("SHARED", str(project.share()))
    project.edit("scripts/model.py", "import json\n", f"import json\n{waiting}")
    return project


def track(monkeypatch: pytest.MonkeyPatch, **trackers: object) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps(trackers))


def losses(folder: Path) -> list[tuple[int, float]]:
    """Return steps and losses in the table of the training; none if there is none yet."""
    files = sorted(folder.glob("model-*.csv"))
    return [(int(row["step"]), float(row["loss"])) for file in files for row in csv.DictReader(file.open())]


def actions(project: Project) -> list[str]:
    return sorted(path.read_text() for path in project.root.glob("results/**/*.manifest.json"))


def test_a_killed_and_resumed_step_is_one_run_with_the_digests_of_one_without_trackers(
    training: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "tables"
    track(monkeypatch, csv={"folder": str(folder)})
    process = subprocess.Popen(
        training.command(),
        cwd=training.root,
        env=training.variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 300
    while len(losses(folder)) < 3:  # while the program runs
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.kill(json.loads(next(training.path("work").glob("*/progress.json")).read_bytes())["pid"], signal.SIGKILL)
    training.path("shared/go").touch()
    training.run()
    assert losses(folder) == [(step, 10.0 - step) for step in range(1, 6)]
    tracked = actions(training)
    monkeypatch.delenv(VARIABLE)
    for name in ("results", "store", "work"):
        subprocess.run(["rm", "-rf", str(training.path(name))], check=True)
    training.run()
    assert actions(training) == tracked and len(tracked) == 6


def test_trackers_that_fail_are_named_and_fail_nothing(
    training: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    training.path("shared/go").touch()
    (tmp_path / "file").touch()
    track(monkeypatch, csv={"folder": str(tmp_path / "file")}, tensorboard={"folder": str(tmp_path)})
    text = training.run().text
    assert text.count("TrackerFailed") == 2
    assert (
        "! model is not forwarded to csv: TrackerFailed: csv ended with status 1: FileExistsError: [Errno 17]" in text
    )
    assert (
        "! model is not forwarded to tensorboard: TrackerFailed: tensorboard was not started: There is no lock" in text
    )
    assert text.count("forward later: tapeout track model") == 2
    assert "model" in training.digests()

    code, _, errors = call(training, "track", "model")
    assert code == 3 and "The site file names no tracker." in errors
    variables = {VARIABLE: json.dumps({"csv": {"folder": str(tmp_path / "tables")}})}
    training.edit("Snakefile", 'config.get("launch", {})', f'config.get("launch", {{}}), {variables!r}')
    code, text, _ = call(training, "track", "model")
    assert code == 0 and "csv: 3 steps forwarded; it has 3 of 5." in text
    code, text, _ = call(training, "track", "model", "--json")
    (row,) = json.loads(text)["trackers"]
    assert row == {"tracker": "csv", "forwarded": 0, "last": 3, "error": ""}
    assert losses(tmp_path / "tables") == [(1, 9.0), (2, 8.0), (3, 7.0)]
    assert call(training, "track", "raw.txt")[0] == 3
    journal = Workspace(None, work=training.path("work")).metrics_path(json.loads(text)["action"])  # type: ignore[arg-type]
    journal.open("a").write(
        '{"begin": 3, "total": 5}\n{"step": 4, "loss": 6, "time": 1}\n{"step": 5, "loss": 5, "time": 1}\n'
    )
    code, text, _ = call(training, "track", "model", "--follow")
    assert code == 0 and "csv: 2 steps forwarded; it has 5 of 5." in text, "it ends with the last step"
    training.edit("Snakefile", str(tmp_path / "tables"), str(tmp_path / "file"))
    code, text, _ = call(training, "track", "model")
    assert code == 1 and "csv: TrackerFailed: csv ended with status 1: FileExistsError" in text


def test_a_tracker_that_does_not_end_is_ended(tmp_path: Path) -> None:
    journal = tmp_path / "action.jsonl"
    journal.write_text('{"begin": 0, "total": 1}\n')
    with open(tmp_path / "action.csv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as if another process forwarded the same
        forwarder = Forwarder(
            "csv", {"folder": str(tmp_path)}, {"action": "a" * 64, "name": "model", "config": {}}, journal
        )
        forwarder.end()
        with pytest.raises(TrackerFailed, match="csv did not end in time"):
            forwarder.result(0.5)
        assert forwarder.process.poll() == -signal.SIGKILL


def test_no_module_of_the_current_folder_is_imported_in_place_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "action.jsonl"
    journal.write_text('{"begin": 0, "total": 1}\n')
    (tmp_path / "csv.py").write_text("raise SystemExit('of the current folder')\n")
    monkeypatch.chdir(tmp_path)
    run = {"action": "a" * 64, "name": "model", "config": {}}
    forwarder = Forwarder("csv", {"folder": str(tmp_path)}, run, journal)
    forwarder.end()
    assert forwarder.result(60) == {"forwarded": 0, "last": 0}
