"""Digests of the user's own files, which are read where they lie and may be edited at any time.

Nothing vouches for such a file but the file system, so its size, times, inode and device are remembered with its
digest, and it is read again when any of them differs.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.identity.digest import canonical, digest_files, write_atomically

RACY_NS = 2 * 10**9
"""A file changed this shortly ago could change again within the file system's clock tick; it is not remembered."""


@dataclass(frozen=True)
class LocalDigests:
    """Digests by path, remembered in one small file that only the main process writes."""

    memory: Path

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """SHA-256 of files, in their order; each is read only if it may have changed since it was last read."""
        known = self._read()
        states = {path: _state(path) for path in paths}
        changed = [path for path in states if known.get(str(path), {}).get("state") != states[path]]
        fresh = dict(zip(changed, digest_files(changed), strict=True))
        found = [fresh[path] if path in fresh else str(known[str(path)]["digest"]) for path in paths]
        now = time.time_ns()
        settled = {path: digest for path, digest in fresh.items() if now - max(states[path][1:3]) > RACY_NS}
        if settled:
            known |= {str(path): {"state": states[path], "digest": digest} for path, digest in settled.items()}
            write_atomically(self.memory, canonical(known))
        return found

    def _read(self) -> dict[str, dict[str, object]]:
        with contextlib.suppress(FileNotFoundError, ValueError):
            found: dict[str, dict[str, object]] = json.loads(self.memory.read_bytes())
            return found
        return {}


def _state(path: Path) -> list[int]:
    info = path.stat()
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev]
