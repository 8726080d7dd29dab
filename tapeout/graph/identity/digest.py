"""Digests of bytes, files and folders, and the one canonical form of JSON that every digest is taken over."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tapeout.graph.errors import DiskFull

BLOCK = 1 << 20


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and no NaN, so that equal values have equal bytes.

    Raises:
        ValueError: a float is not finite.
        TypeError: a value has no JSON form.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_bytes(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return digest_bytes(canonical(value))


def digest_file(path: Path, told: Callable[[int], None] = lambda size: None) -> str:
    """SHA-256 of a file's bytes, read once in blocks; ``told`` hears how many bytes each had."""
    sha = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            sha.update(block)
            told(len(block))
    return sha.hexdigest()


def digest_files(paths: Iterable[Path]) -> list[str]:
    """SHA-256 of many files, in their order, on all cores (hashing leaves the interpreter lock).

    The threads take files from one list, the largest first, so that all end at about the same time; a task for each
    file would cost more than hashing a small one does. SHA-256 is sequential: one file is hashed on one core.
    """
    files = list(paths)
    digests = [""] * len(files)
    largest_first = iter(sorted(range(len(files)), key=lambda index: -files[index].stat().st_size))

    def work() -> None:
        for index in largest_first:  # to advance a list's iterator is atomic
            digests[index] = digest_file(files[index])

    threads = min(os.cpu_count() or 1, len(files))
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return digests


@contextmanager
def disk_full_is_named() -> Iterator[None]:
    """Raise ``DiskFull`` in place of the system's error."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"No space is left where {error.filename or 'the run'} is written.",
            "Free some space and run again; nothing half-made was kept.",
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that a reader, or the next run after a crash, sees all of it or the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")  # hosts may share a pid
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a small file only when its content changes; tell whether it did."""
    if path.exists() and path.read_bytes() == data:
        return False
    write_atomically(path, data)
    return True
