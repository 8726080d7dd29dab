"""The journal of metrics: attempts, incomplete lines, and a reader beside the writer."""

import os
from pathlib import Path

import pytest

from tapeout.tracking.journal import TIME, Journal
from tapeout.train.metrics_journal import VARIABLE, MetricsJournal


def losses(journal: Journal) -> dict[int, float]:
    return {step: values["loss"] for step, values in journal.steps.items()}


def test_a_resumed_training_replaces_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "action.jsonl"
    journal, writer = Journal(path), MetricsJournal(path)
    journal.update()
    assert journal.total is None and not journal.steps and not journal.complete
    writer.begin(0, 5)
    for step in (1, 2, 3, 4):
        writer.append({"step": step, "loss": 10.0 - step})
    journal.update()
    assert losses(journal) == {1: 9.0, 2: 8.0, 3: 7.0, 4: 6.0}
    resumed = MetricsJournal(path)
    resumed.begin(2, 5)
    journal.update()
    assert losses(journal) == {1: 9.0, 2: 8.0} and not journal.complete
    for step in (3, 4, 5):
        resumed.append({"step": step, "loss": 20.0 - step})
    journal.update()
    assert losses(journal) == {1: 9.0, 2: 8.0, 3: 17.0, 4: 16.0, 5: 15.0}
    assert journal.complete and list(journal.steps) == [1, 2, 3, 4, 5] and journal.steps[5][TIME] > 0
    again = Journal(path)
    again.update()
    assert again == journal


def test_a_line_that_a_kill_left_incomplete_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "action.jsonl"
    journal = Journal(path)
    MetricsJournal(path).begin(0, 3)
    path.open("a").write('{"step": 1, "loss": 2.0, "time": 7}\n{"step": 2, "lo')
    journal.update()
    assert losses(journal) == {1: 2.0}, "the incomplete line may still be written"
    writer = MetricsJournal(path)
    writer.begin(1, 3)
    writer.append({"step": 2, "loss": 1.0})
    journal.update()
    assert losses(journal) == {1: 2.0, 2: 1.0}


def test_only_the_first_rank_writes_and_only_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert MetricsJournal.configured(first=True).path is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "journal"))
    assert MetricsJournal.configured(first=False).path is None
    assert MetricsJournal.configured(first=True).path == tmp_path / "journal"


def test_a_journal_that_cannot_be_written_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    writer = MetricsJournal(tmp_path / "file" / "journal")
    writer.begin(0, 2)
    writer.append({"step": 1, "loss": 1.0})
    assert capsys.readouterr().err.count("No more metrics are written to") == 1
    full = MetricsJournal(Path("/dev/full"))
    full.begin(0, 2)
    full.append({"step": 1, "loss": 1.0})
    assert capsys.readouterr().err == f"No more metrics are written to /dev/full: {os.strerror(28)}.\n"
