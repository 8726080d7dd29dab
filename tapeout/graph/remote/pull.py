"""Taking from a store elsewhere: nothing is believed before it was checked, and no byte is fetched twice."""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tapeout.graph.console import format_size, print_line
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.transport import Transport
from tapeout.graph.store.entry import decode
from tapeout.graph.store.store import Store, action_key, object_key

LARGEST_ENTRY = 32 << 20
"""Bytes of an entry, enough for some 150,000 files; nothing larger is read into memory, or pushed."""
SECONDS_BETWEEN_WORDS = 10.0

Found = tuple[Action, Manifest]


@dataclass(frozen=True)
class Distrust:
    """Notes, in the local store, of a remote's files that were damaged, so that they are not fetched again and again.

    A note holds as long as the file stays the same; who pushes replaces the file.
    """

    folder: Path
    store: Store

    def note(self, key: str) -> Path:
        """Where the note on a file lies, if there is one."""
        return self.folder / key.replace("/", ".")

    def add(self, transport: Transport, key: str) -> None:
        """Note that a file, as it is now, is damaged."""
        with self.store.writing(self.note(key)):
            write_atomically(self.note(key), f"{transport.stat(key)}\n".encode())

    def holds(self, transport: Transport, key: str) -> bool:
        """Whether a file was found damaged and is the same file still."""
        with contextlib.suppress(FileNotFoundError):
            if self.note(key).read_text() == f"{transport.stat(key)}\n":
                return True
            self.note(key).unlink()
        return False


@dataclass(frozen=True)
class Pull:
    """One process's way from a remote into the local store.

    Its methods raise what the transport's raise, ``DiskFull``, and ``NotWritable`` if the user may not write the local
    store.
    """

    store: Store
    transport: Transport
    distrust: Distrust

    def entry(self, action: Action) -> Found | None:
        """What the remote has for an action; an entry that is damaged, or names damaged files, is named and is none."""
        data = self.transport.read(action_key(action.digest), LARGEST_ENTRY + 1)
        if data is None:
            return None
        try:
            found = decode_bounded(data, action.digest)
        except ValueError:
            self._warn(action.artifact, action_key(action.digest))
            return None
        for key in map(object_key, found[1].entries):
            if self.distrust.holds(self.transport, key):
                self._warn(action.artifact, key)
                return None
        return found

    def file(self, artifact: str, entry: Entry, meter: "Meter") -> None:
        """Fetch one file, from where an earlier attempt was cut off, and let it in if its digest is right."""
        key, place = object_key(entry), self.store.object_path(entry)
        part = self.store.root / "incoming" / place.name
        with self._alone(part) as file:
            while not place.is_file():
                begun = file.seek(0, os.SEEK_END)
                meter.add(begun)
                if self.transport.download(key, file, entry.size, meter.add) and digest_file(part) == entry.digest:
                    self.store.add_object(part, entry)
                    return
                file.truncate(0)
                if not begun:  # else it may have been the beginning, from another day, that was wrong
                    self._warn(artifact, key)
                    self.distrust.add(self.transport, key)
                    break
            part.unlink()

    @contextlib.contextmanager
    def _alone(self, part: Path) -> Iterator[IO[bytes]]:
        """Open a file that is under way, when no other process fetches it any more."""
        while True:
            file = self.store.open(part, "ab+")
            fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                    break
            file.close()  # it has arrived, or was given up, and the name is another file's or nobody's
        with file:
            yield file

    def _warn(self, artifact: str, key: str) -> None:
        where = f"{key} in the remote {self.transport.name}"
        print_line(f"! {artifact}: {where} is missing, damaged or not what it claims to be; it is not used")


class Meter:
    """Says now and then how much of a long transfer has arrived.

    Args:
        total: bytes in all.
        where: where they come from, in words.
    """

    def __init__(self, total: int, where: str) -> None:
        self.total, self.where = total, where
        self.done, self.last = 0, time.monotonic()
        self.lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes; any thread may."""
        with self.lock:
            self.done += count
            if time.monotonic() - self.last > SECONDS_BETWEEN_WORDS:
                self.last = time.monotonic()
                print_line(f". {format_size(self.done)} of {format_size(self.total)} {self.where}")


def decode_bounded(data: bytes, action: str) -> Found:
    """As ``entry.decode``; what is larger than any entry is none either."""
    if len(data) > LARGEST_ENTRY:
        raise ValueError("larger than any entry")
    return decode(data, action)
