"""Copies of which exactly the bytes that were hashed are published, completely or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tapeout.sources.errors import SourceMissing, WrongContent

BLOCK = 1 << 20


@contextmanager
def published(target: Path) -> Iterator[IO[bytes]]:
    """Yield a new file that gets the name ``target`` at the end, unless the block fails or closes it before."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            complete = not file.closed
        if complete:
            Path(name).chmod(0o644)
            Path(name).rename(target)
    finally:
        Path(name).unlink(missing_ok=True)


def copy_hashed(source: IO[bytes], target: IO[bytes], size: int, digest: "hashlib._Hash") -> str:
    """Copy at most ``size`` bytes, and return the hash of exactly the bytes that were written."""
    left = size
    while block := source.read(min(BLOCK, left)):
        digest.update(block)
        target.write(block)
        left -= len(block)
    return digest.hexdigest()


def copy_verified(source: Path, target: Path, sha256: str | None) -> str:
    """Copy a local file, hash the bytes that are copied, and return their SHA-256.

    Raises:
        SourceMissing: there is no such file.
        WrongContent: the hash is not ``sha256``; there is no copy.
    """
    if not source.is_file():
        raise SourceMissing.of(f"The file {source}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file, published(target) as copy:
        actual = copy_hashed(file, copy, os.fstat(file.fileno()).st_size, hashlib.sha256())
        if sha256 is not None and actual != sha256:
            copy.close()
            raise WrongContent.of_hash(f"The file {source}", sha256, actual)
    return actual
