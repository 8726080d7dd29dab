"""Digests of files that may be edited at any time."""

import os
from pathlib import Path

import pytest

from tapeout.graph.identity import digest
from tapeout.graph.identity.digest import DigestCache, digest_bytes


def test_a_file_is_read_again_only_when_it_may_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    digest_files = digest.digest_files
    monkeypatch.setattr(digest, "digest_files", lambda paths: read.extend(paths) or digest_files(paths))
    monkeypatch.setattr(digest, "RACY_NS", 0)
    path, digests = tmp_path / "rows.jsonl", DigestCache(tmp_path / "memory" / "digests.json")
    path.write_bytes(b"one")
    for _ in range(3):
        assert digests.digests([path]) == [digest_bytes(b"one")]
    assert len(read) == 1
    info = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert digests.digests([path]) == [digest_bytes(b"two")]  # size and mtime are equal; the ctime tells


def test_a_file_just_written_is_not_remembered(tmp_path: Path) -> None:
    path, digests = tmp_path / "rows.jsonl", DigestCache(tmp_path / "digests.json")
    path.write_bytes(b"one")
    digests.digests([path])
    assert not digests.path.exists()


def test_a_broken_memory_is_forgotten(tmp_path: Path) -> None:
    path, digests = tmp_path / "rows.jsonl", DigestCache(tmp_path / "digests.json")
    path.write_bytes(b"one")
    digests.path.write_text('{"half')
    assert digests.digests([path]) == [digest_bytes(b"one")]


def test_many_files_are_remembered_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "RACY_NS", 0)
    digests = DigestCache(tmp_path / "digests.json")
    paths = [tmp_path / str(number) for number in range(20)]
    for path in paths:
        path.write_text(path.name)
    expected = [digest_bytes(path.name.encode()) for path in paths]
    assert digests.digests(paths) == expected
    written = digests.path.stat().st_mtime_ns
    paths[3].write_text("other")
    assert digests.digests(paths[::-1]) == [*expected[:3], digest_bytes(b"other"), *expected[4:]][::-1]
    assert digests.path.stat().st_mtime_ns > written
    assert digests.digests([]) == []
