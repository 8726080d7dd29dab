"""Digests of single files, of many files, and cached digests."""

import hashlib
import os
import random
import resource
from pathlib import Path

import pytest

from tapeout.graph.identity import digest
from tapeout.graph.identity.digest import BLOCK, DigestCache, digest_bytes, digest_file, digest_files


def test_digests_of_many_files_are_in_their_order(tmp_path: Path) -> None:
    draw = random.Random(1)
    files, expected = [], []
    for number in range(300):
        data = draw.randbytes(draw.choice([0, 1, 1000, 70_000]))
        files.append(tmp_path / str(number))
        files[-1].write_bytes(data)
        expected.append(hashlib.sha256(data).hexdigest())
    assert digest_files(files) == expected
    assert digest_files(iter(files[:1])) == expected[:1]
    assert digest_files([]) == []


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_file_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "exists").write_bytes(b"x")
    with pytest.raises(FileNotFoundError):
        digest_files([tmp_path / "exists", tmp_path / "missing"])


def test_cache_reads_a_file_again_only_if_it_may_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(digest, "digest_files", lambda paths: read.extend(paths) or digest_files(paths))
    monkeypatch.setattr(digest, "RACY_NS", 0)
    path, cache = tmp_path / "rows.jsonl", DigestCache(tmp_path / "cache" / "digests.json")
    path.write_bytes(b"one")
    for _ in range(3):
        assert cache.digests([path]) == [digest_bytes(b"one")]
    assert len(read) == 1
    info = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert cache.digests([path]) == [digest_bytes(b"two")]  # size and mtime are equal, but not the ctime


def test_file_that_was_just_written_is_not_cached(tmp_path: Path) -> None:
    path, cache = tmp_path / "rows.jsonl", DigestCache(tmp_path / "digests.json")
    path.write_bytes(b"one")
    cache.digests([path])
    assert not cache.path.exists()


def test_damaged_cache_is_ignored(tmp_path: Path) -> None:
    path, cache = tmp_path / "rows.jsonl", DigestCache(tmp_path / "digests.json")
    path.write_bytes(b"one")
    for damaged in ('{"half', "[]", f'{{"{path}": []}}', f'{{"{path}": {{"state": []}}}}', "[" * 10_000):
        cache.path.write_text(damaged)
        assert cache.digests([path]) == [digest_bytes(b"one")]


def test_many_files_are_cached_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "RACY_NS", 0)
    cache = DigestCache(tmp_path / "digests.json")
    paths = [tmp_path / str(number) for number in range(20)]
    for path in paths:
        path.write_text(path.name)
    expected = [digest_bytes(path.name.encode()) for path in paths]
    assert cache.digests(paths) == expected
    written = cache.path.stat().st_mtime_ns
    paths[3].write_text("other")
    assert cache.digests(paths[::-1]) == [*expected[:3], digest_bytes(b"other"), *expected[4:]][::-1]
    assert cache.path.stat().st_mtime_ns > written
    assert cache.digests([]) == []


def test_a_full_disk_keeps_no_command_from_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "RACY_NS", 0)
    path, cache = tmp_path / "rows.jsonl", DigestCache(tmp_path / "digests.json")
    path.write_bytes(b"one")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))  # Python ignores SIGXFSZ
    try:
        assert cache.digests([path]) == [digest_bytes(b"one")]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
