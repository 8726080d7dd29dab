"""Pulling from a remote store: everything is verified before it is used, and no byte is fetched twice."""

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
from tapeout.graph.files import read_file, write_atomically
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.locks import acquire
from tapeout.graph.remote.transport import Transport
from tapeout.graph.store.entry import content_digest, decode
from tapeout.graph.store.store import Store, action_key, object_key, signature_key
from tapeout.graph.store.trust import MAX_SIGNATURE, sha256

MAX_ENTRY_SIZE = 32 << 20
"""Bytes of an entry, enough for about 150,000 files; nothing larger is read into memory, or pushed."""
REPORT_INTERVAL = 10.0
"""Seconds between two lines on a long transfer."""

StoredEntry = tuple[Action, Manifest, bytes]
"""Action, manifest and signatures; the latter are empty if the remote has none."""


@dataclass(frozen=True)
class DamageNotes:
    """Notes, in the local store, of a remote's damaged files, so that they are not fetched again and again.

    A note is valid as long as the file is unchanged; the next push of the file replaces it.
    """

    folder: Path
    store: Store

    def note(self, key: str) -> Path:
        """Return the path of the note of a file, if there is one."""
        return self.folder / key.replace("/", ".")

    def add(self, transport: Transport, key: str) -> None:
        """Note that the current version of a file is damaged."""
        with self.store.writing(self.note(key)):
            write_atomically(self.note(key), f"{transport.stat(key)}\n".encode())

    def applies(self, transport: Transport, key: str) -> bool:
        """Return whether a file was damaged and has not changed since."""
        with contextlib.suppress(FileNotFoundError):
            if read_file(self.note(key)) == f"{transport.stat(key)}\n".encode():
                return True
            self.note(key).unlink()
        return False


@dataclass(frozen=True)
class Pull:
    """Transfers from a remote into the local store.

    All methods raise the errors of ``Transport``, ``DiskFull``, and ``NotWritable`` if this user may not write the
    local store.
    """

    store: Store
    transport: Transport
    damaged: DamageNotes

    def entry(self, action: Action) -> StoredEntry | None:
        """Return the remote's entry of an action; None if it is not trusted.

        One that is damaged, has damaged files, or has another result than the local store is reported and not used.
        """
        data = self.transport.read(action_key(action.digest), MAX_ENTRY_SIZE + 1)
        if data is None:
            return None
        try:
            found, manifest = decode_bounded(data, action.digest)
        except ValueError:
            self._warn(action.artifact, action_key(action.digest))
            return None
        for key in map(object_key, manifest.entries):
            if self.damaged.applies(self.transport, key):
                self._warn(action.artifact, key)
                return None
        signature, trust = self.transport.read(signature_key(action.digest), MAX_SIGNATURE), self.store.trust
        if trust is not None and not trust.accepts(manifest, content_digest(found, manifest), signature):
            return None
        ours = self.store.find(action.digest)
        if ours is not None and ours != manifest:
            there = f"{sha256(manifest.digest())} in the remote {self.transport.name}, which is not used"
            print_line(f"! {action.artifact}: not reproducible: {sha256(ours.digest())} here, {there}")
            return None
        return found, manifest, signature or b""

    def file(self, artifact: str, entry: Entry, progress: "TransferProgress") -> None:
        """Fetch one file, resume an interrupted transfer of it, and add it to the store if its digest is right."""
        key, path = object_key(entry), self.store.object_path(entry)
        part = self.store.root / "incoming" / path.name
        with self._exclusive(part) as file:
            while not self.store.has_object(entry):
                resumed = file.seek(0, os.SEEK_END)
                progress.add(resumed)
                if self.transport.download(key, file, entry.size, progress.add) and digest_file(part) == entry.digest:
                    self.store.add_object(part, entry)
                    return
                file.truncate(0)
                if not resumed:  # otherwise the part from the earlier transfer may be what is wrong
                    self._warn(artifact, key)
                    self.damaged.add(self.transport, key)
                    break
            part.unlink()

    @contextlib.contextmanager
    def _exclusive(self, part: Path) -> Iterator[IO[bytes]]:
        """Open a partial file as soon as no other process fetches it."""
        while True:
            file = self.store.open(part, "ab+")
            acquire(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                    break
            file.close()  # the other process finished or gave up, so that the name belongs to another file or to none
        with file:
            yield file

    def _warn(self, artifact: str, key: str) -> None:
        print_line(f"! {artifact}: {key} in the remote {self.transport.name} is missing or damaged; it is not used")


class TransferProgress:
    """Prints the progress of a long transfer from time to time.

    Args:
        total: bytes in all.
        source: end of the line: where they come from.
    """

    def __init__(self, total: int, source: str) -> None:
        self.total, self.source = total, source
        self.done, self.printed = 0, time.monotonic()
        self.lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that arrived; any thread may call it."""
        with self.lock:
            self.done += count
            if time.monotonic() - self.printed > REPORT_INTERVAL:
                self.printed = time.monotonic()
                print_line(f". {format_size(self.done)} of {format_size(self.total)} {self.source}")


def decode_bounded(data: bytes, action: str) -> tuple[Action, Manifest]:
    """Decode an entry with ``store.entry.decode``; refuse one larger than ``MAX_ENTRY_SIZE``."""
    if len(data) > MAX_ENTRY_SIZE:
        raise ValueError("larger than any entry")
    return decode(data, action)
