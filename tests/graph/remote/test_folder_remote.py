"""Folders as remote stores: one that stops answering is given up, and a pipe counts as missing."""

import os
import threading
from pathlib import Path

import pytest

from tapeout.graph.errors import RemoteUnavailable
from tapeout.graph.remote.push import Outcome
from tapeout.graph.remote.transport import Transport
from tests.graph.remote import remotes
from tests.graph.remote.remotes import *  # noqa: F403 - fixtures
from tests.graph.remote.remotes import FILES, client_at

Text = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry almost immediately, and wait for a server of these tests, which a busy machine may delay."""
    monkeypatch.setattr("tapeout.graph.remote.transport.RETRY_PAUSES", (0.01, 0.02, 0.05))
    monkeypatch.setattr("tapeout.graph.remote.transport.FIRST_RESPONSE_TIMEOUT", 120.0)


def test_a_folder_that_stops_answering_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "remote").mkdir()
    transport, never = Transport(f"file://{tmp_path}/remote"), threading.Event()
    monkeypatch.setattr("tapeout.graph.remote.transport.READ_TIMEOUT", 0.2)

    def progress_for_a_while(files: object) -> None:
        for _ in range(10):
            transport._note_progress()
            never.wait(0.1)
        begun.set()
        never.wait()

    begun = threading.Event()
    with pytest.raises(RemoteUnavailable, match="no answer within"):
        transport._attempt(progress_for_a_while)
    assert begun.is_set(), "a transfer that makes progress may take longer"
    never.set()


def test_a_pipe_in_a_folder_counts_as_missing_and_a_push_replaces_it(tmp_path: Path, capfd: Text) -> None:
    file = remotes.folder(tmp_path / "remote", f"file://{tmp_path}/remote")
    one, two = client_at(tmp_path / "one", file), client_at(tmp_path / "two", file)
    action = one.seal("model", FILES)
    one.remote.push([action.digest])
    names = file.names()
    for name in names:
        (tmp_path / "remote" / name).unlink()
        os.mkfifo(tmp_path / "remote" / name)
    assert two.remote.pull(action) is None
    assert [done.outcome for done in client_at(tmp_path / "one", file).remote.push([action.digest])] == [Outcome.PUSHED]
    assert file.names() == names
    three = client_at(tmp_path / "three", file)
    assert three.remote.pull(action) is not None and three.files(action) == FILES
