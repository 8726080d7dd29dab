"""Digests of values and files, and the canonical form of JSON from which digests are computed."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.graph.files import only_regular, read_json, write_atomically

BLOCK = 1 << 20
RACY_NS = 2 * 10**9
"""A file changed this recently may change again within one tick of the file system's clock; it is not cached."""


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys, no spaces and no NaN, so that equal values have equal bytes.

    Raises:
        ValueError: a float is not finite.
        TypeError: a value has no JSON form.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return digest_bytes(canonical(value))


def digest_file(path: Path, on_read: Callable[[int], None] = lambda size: None) -> str:
    """Return the SHA-256 of a file; ``on_read`` is called with the size of each block that was read."""
    sha = hashlib.sha256()
    with open(path, "rb", buffering=0, opener=only_regular) as file:
        while block := file.read(BLOCK):
            sha.update(block)
            on_read(len(block))
    return sha.hexdigest()


def digest_files(paths: Iterable[Path]) -> list[str]:
    """Return the SHA-256 of many files, in their order, computed on all cores.

    hashlib releases the interpreter lock. The threads take files from one queue, the largest first, so that they finish
    at about the same time; a task per file would cost more than hashing a small file does. SHA-256 is sequential: one
    file is hashed on one core.
    """
    files = list(paths)
    digests = [""] * len(files)
    largest_first = iter(sorted(range(len(files)), key=lambda index: -files[index].stat().st_size))

    def work() -> None:
        for index in largest_first:  # advancing a list iterator is atomic
            digests[index] = digest_file(files[index])

    threads = min(os.cpu_count() or 1, len(files))
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result()
    return digests


@dataclass(frozen=True)
class DigestCache:
    """Digests of the user's own files, cached by size, times, inode and device.

    Such files are read where they are and may be edited at any time, so only the file system can tell whether one
    changed. The cache is one small file, which the main process alone writes.
    """

    path: Path

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """Return the SHA-256 of files, in their order; read only those that may have changed since the last call."""
        known = self._read()
        states = {path: _state(path) for path in paths}
        changed = [path for path in states if known.get(str(path), {}).get("state") != states[path]]
        fresh = dict(zip(changed, digest_files(changed), strict=True))
        results = [fresh[path] if path in fresh else str(known[str(path)]["digest"]) for path in paths]
        now = time.time_ns()
        settled = {path: digest for path, digest in fresh.items() if now - max(states[path][1:3]) > RACY_NS}
        if settled:
            known |= {str(path): {"state": states[path], "digest": digest} for path, digest in settled.items()}
            with contextlib.suppress(OSError):  # commands that only read work on a full or read-only disk
                write_atomically(self.path, canonical(known))
        return results

    def _read(self) -> dict[str, dict[str, object]]:
        with contextlib.suppress(FileNotFoundError, ValueError):
            entries = read_json(self.path)
            if isinstance(entries, dict) and all(isinstance(value, dict) for value in entries.values()):
                return {path: value for path, value in entries.items() if value.keys() == {"state", "digest"}}
        return {}


def _state(path: Path) -> list[int]:
    info = path.stat()
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev]
