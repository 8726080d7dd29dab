"""Digests of the user's own files, which are read where they lie and may be edited at any time.

Nothing vouches for such a file but the file system, so its size, times, inode and device are remembered with its
digest, and it is read again when any of them differs.
"""

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.digest import canonical, digest_file, write_atomically

RACY_NS = 2 * 10**9
"""A file changed this shortly ago could change again within the file system's clock tick; it is not remembered."""


@dataclass(frozen=True)
class LocalDigests:
    """Digests by path, remembered in one small file that only the main process writes."""

    memory: Path

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, read only if it may have changed since it was last read."""
        known = self._read()
        info = path.stat()
        state = [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev]
        remembered = known.get(str(path))
        if remembered is not None and remembered["state"] == state:
            return str(remembered["digest"])
        digest = digest_file(path)
        if time.time_ns() - max(info.st_mtime_ns, info.st_ctime_ns) > RACY_NS:
            known[str(path)] = {"state": state, "digest": digest}
            write_atomically(self.memory, canonical(known))
        return digest

    def _read(self) -> dict[str, dict[str, object]]:
        with contextlib.suppress(FileNotFoundError, ValueError):
            found: dict[str, dict[str, object]] = json.loads(self.memory.read_bytes())
            return found
        return {}
