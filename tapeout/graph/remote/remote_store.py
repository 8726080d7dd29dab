"""Remote store: queried before a step is built, and extended with what was built.

``TAPEOUT_REMOTE`` is its URL, ``TAPEOUT_REMOTE_MODE`` ``read-only`` (the default) or ``read-write``. A remote has the
layout of any store. Whatever is fetched from it is verified before use, and a failing remote never stops a run: what
cannot be pulled is built, and what cannot be pushed is queued for the next run or ``tapeout push``.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tapeout.graph.bookkeeping import bookkeeping
from tapeout.graph.console import format_size, print_line
from tapeout.graph.errors import RemoteError, RemoteRefused, RemoteUnavailable
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import digest_bytes
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.pull import DamageNotes, Pull, StoredEntry, TransferProgress
from tapeout.graph.remote.push import Outcome, Push, PushResult
from tapeout.graph.remote.transport import Transport, without_password
from tapeout.graph.store.store import Store, object_key

RETRY_AFTER = 600.0
"""Seconds for which the processes of a run do not use a remote after one of them could not reach it."""
BATCH = 64
"""Number of actions pushed at a time: if the connection breaks, the batches before are complete."""


class Remote:
    """The remote store, as one process uses it.

    Args:
        store: the local store; it has the partial files (``incoming/``), the queue of actions to be pushed (``owed/``)
            and the notes of the remote's damaged files (``distrusted/``).
        url: URL of the remote.
        mode: ``read-only`` or ``read-write``.
        marks: folder in which the processes of a run inform each other that the remote cannot be used.
    """

    def __init__(self, store: Store, url: str, mode: str, marks: Path) -> None:
        self.store, self.url, self.mode = store, url, mode
        self.name = without_password(url)
        self.fetched: set[str] = set()
        """Digests of the actions whose outputs this process has fetched."""
        own = digest_bytes(self.name.encode())[:16]
        self._queue, self._damaged = store.root / "owed" / own, DamageNotes(store.root / "distrusted" / own, store)
        self._unavailable_mark, self._refused_mark = marks / "remote.away", marks / "remote.refuses"
        self._entries: dict[str, StoredEntry | None] = {}
        self._transport: Transport | None = None

    @classmethod
    def configured(cls, store: Store, marks: Path) -> "Remote | None":
        """Return the remote of the environment variables, or None; nothing is contacted or checked yet."""
        url = os.environ.get("TAPEOUT_REMOTE")
        return cls(store, url, os.environ.get("TAPEOUT_REMOTE_MODE") or "read-only", marks) if url else None

    @property
    def writable(self) -> bool:
        """True if results are pushed to this remote.

        Raises:
            RemoteError: the mode is not valid.
        """
        if self.mode not in ("read-only", "read-write"):
            raise RemoteError(f"TAPEOUT_REMOTE_MODE is {self.mode!r}.", "Set it to read-only or read-write.")
        return self.mode == "read-write"

    def forget_failures(self) -> None:
        """Forget earlier failures, at the beginning of a run."""
        for mark in (self._unavailable_mark, self._refused_mark):
            mark.unlink(missing_ok=True)

    def find(self, actions: Sequence[Action]) -> dict[str, Manifest]:
        """Return the manifests of those actions that the remote has, by digest.

        Queries are concurrent, one per action and process. An entry that is damaged, or has a file that was damaged and
        has not changed since, is reported and not used.
        """
        asked = [action for action in actions if action.digest not in self._entries]
        pull = self._pull() if asked else None
        if pull is not None:
            try:
                entries = pull.transport.map(pull.entry, asked)
            except (RemoteUnavailable, RemoteRefused) as error:
                self._give_up(error)
            else:
                self._entries |= {action.digest: entry for action, entry in zip(asked, entries, strict=True)}
        known = {action.digest: self._entries.get(action.digest) for action in actions}
        return {digest: entry[1] for digest, entry in known.items() if entry is not None}

    def missing_bytes(self, manifest: Manifest) -> int:
        """Return how many bytes of an artifact would have to be fetched."""
        return sum(entry.size for entry in self._missing(manifest).values())

    def pull(self, action: Action, known: Manifest | None = None) -> Manifest | None:
        """Fetch the output of an action.

        Args:
            action: the action.
            known: its manifest, if the local store lacks only files of it.

        Returns:
            The manifest, once every file is in the local store; None if that is not possible.

        Raises:
            DiskFull: the local disk is full.
            NotWritable: this user may not write the local store.
        """
        manifest = known or self.find([action]).get(action.digest)
        return manifest if manifest is not None and self.fetch({action.digest: manifest}) else None

    def fetch(self, wanted: Mapping[str, Manifest]) -> set[str]:
        """Fetch the outputs of actions, by digest; return the digests of those that are complete in the local store.

        Raises:
            DiskFull: the local disk is full.
            NotWritable: this user may not write the local store.
        """
        pull = self._pull() if wanted else None
        if pull is None:
            return set()
        self.store.make_folder(self.store.root)
        free = shutil.disk_usage(self.store.root).free
        missing: dict[str, tuple[str, Entry]] = {}
        for manifest in wanted.values():
            needed = self.missing_bytes(manifest)
            if needed > free:
                print_line(f"! {manifest.artifact}: not fetched, because {format_size(needed)} are not free here")
                continue
            free -= needed
            missing |= {key: (manifest.artifact, entry) for key, entry in self._missing(manifest).items()}
        progress = TransferProgress(sum(entry.size for _, entry in missing.values()), f"from {self.name}")
        try:
            pull.transport.map(lambda item: pull.file(item[0], item[1], progress), list(missing.values()))
        except (RemoteUnavailable, RemoteRefused) as error:
            self._give_up(error)
        complete = {digest for digest, manifest in wanted.items() if not self._missing(manifest)}
        for digest in sorted(complete):
            entry = self._entries.get(digest)
            if entry is not None and self.store.find(digest) is None:
                self.store.write_entry(*entry)
        self.fetched |= complete
        return complete

    def queue_push(self, action: str) -> None:
        """Queue an action for pushing, before its output is sealed; do nothing in mode read-only."""
        if self.writable:
            self.store.open(self._queue / action, "ab").close()

    def queued(self) -> list[str]:
        """Return the digests of the actions that are still to be pushed, sorted."""
        actions = [path.name for path in self._queue.glob("*")] if self.writable else []
        return sorted(action for action in actions if self.store.action_path(action).exists())

    def push_queued(self, only: str = "") -> None:
        """Push all queued actions, or only one; report a failure and keep what failed in the queue."""
        ready = [action for action in self.queued() if action.startswith(only)]
        if not ready or _recent(self._refused_mark) or _recent(self._unavailable_mark):
            return
        if not only:
            print_line(f". pushing to {self.name} {len(ready)} outputs that earlier runs could not push")
        try:
            self.push(ready)
        except RemoteUnavailable as error:
            self._give_up(error)
        except RemoteRefused as error:
            self._mark(self._refused_mark, error)
            print_line(f"! {error.cause} The output stays queued for the next run, or for tapeout push.")

    def push(self, actions: Sequence[str]) -> list[PushResult]:
        """Push the outputs of actions; see ``Push.actions``.

        Raises:
            RemoteUnavailable: the remote does not answer.
            RemoteRefused: it may not be written, or is full.
        """
        transport = self._connect()
        push, pushed = Push(self.store, transport, self._damaged), []
        for start in range(0, len(actions), BATCH):
            pushed += push.actions(actions[start : start + BATCH])
            for done in pushed[start:]:
                if done.outcome is not Outcome.DAMAGED:
                    (self._queue / done.action).unlink(missing_ok=True)
        return pushed

    def _missing(self, manifest: Manifest) -> dict[str, Entry]:
        objects = {object_key(entry): entry for entry in manifest.entries}
        return {key: entry for key, entry in objects.items() if not self.store.has_object(entry)}

    def _pull(self) -> Pull | None:
        transport = self._reach()
        return None if transport is None else Pull(self.store, transport, self._damaged)

    def _connect(self) -> Transport:
        if self._transport is None:
            transport = Transport(self.url)
            transport.reach()
            self._transport = transport
        return self._transport

    def _reach(self) -> Transport | None:
        """Return the connection, or None if the remote cannot be reached now or could not be a short time ago."""
        if _recent(self._unavailable_mark):
            return None
        try:
            return self._connect()
        except (RemoteUnavailable, RemoteRefused) as error:
            self._give_up(error)
            return None

    def _mark(self, mark: Path, error: RemoteError) -> None:
        with bookkeeping("Other processes cannot be informed that the remote fails"):
            write_atomically(mark, f"{error.cause}\n".encode())

    def _give_up(self, error: RemoteUnavailable | RemoteRefused) -> None:
        """Inform the user and the other processes of this run that the remote cannot be used."""
        self._mark(self._unavailable_mark, error)
        later = "; what it builds is queued for the next run, or for tapeout push" if self.writable else ""
        print_line(f"! {error.cause.removesuffix('.')}: the run continues without it{later}.")


def _recent(mark: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - mark.stat().st_mtime < RETRY_AFTER
    return False
