"""Hashing: whatever the number of files, their sizes and the threads, each file has its own digest."""

import hashlib
import random
from pathlib import Path

import pytest

from tapeout.graph.identity.digest import BLOCK, digest_file, digest_files


def test_many_files_of_all_sizes_in_their_order(tmp_path: Path) -> None:
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
def test_a_file_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_missing_file_is_an_error_and_not_an_empty_digest(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")
    with pytest.raises(FileNotFoundError):
        digest_files([tmp_path / "there", tmp_path / "not there"])
