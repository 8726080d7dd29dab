"""Digests of files that may be edited at any time."""

import os
from pathlib import Path

import pytest

from tapeout.graph import local
from tapeout.graph.digest import digest_bytes
from tapeout.graph.local import LocalDigests


def test_a_file_is_read_again_only_when_it_may_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    digest_file = local.digest_file
    monkeypatch.setattr(local, "digest_file", lambda path: read.append(path) or digest_file(path))
    monkeypatch.setattr(local, "RACY_NS", 0)
    path, digests = tmp_path / "rows.jsonl", LocalDigests(tmp_path / "memory" / "digests.json")
    path.write_bytes(b"one")
    for _ in range(3):
        assert digests.digest(path) == digest_bytes(b"one")
    assert len(read) == 1
    info = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert digests.digest(path) == digest_bytes(b"two")  # size and mtime are equal; the ctime tells


def test_a_file_just_written_is_not_remembered(tmp_path: Path) -> None:
    path, digests = tmp_path / "rows.jsonl", LocalDigests(tmp_path / "digests.json")
    path.write_bytes(b"one")
    digests.digest(path)
    assert not digests.memory.exists()


def test_a_broken_memory_is_forgotten(tmp_path: Path) -> None:
    path, digests = tmp_path / "rows.jsonl", LocalDigests(tmp_path / "digests.json")
    path.write_bytes(b"one")
    digests.memory.write_text('{"half')
    assert digests.digest(path) == digest_bytes(b"one")
