"""A store elsewhere: asked before anything is built, given what was built.

``TAPEOUT_REMOTE`` says where, ``TAPEOUT_REMOTE_MODE`` whether this run may write there (``read-write``) or only reads
(``read-only``, unless said otherwise: many read, few write). It has the layout of any store. Nothing that comes from it
is used before it was checked, and nothing that goes wrong with it stops a run: what cannot be had is built, what cannot
be given is owed, and given by the next run or by ``tapeout push``.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tapeout.graph.console import format_size, print_line
from tapeout.graph.errors import RemoteError, RemoteRefused, RemoteUnavailable
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import digest_bytes
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.pull import Distrust, Found, Meter, Pull
from tapeout.graph.remote.push import Outcome, Push, Pushed
from tapeout.graph.remote.transport import Transport, shown
from tapeout.graph.store.store import Store, object_key

SECONDS_LEFT_ALONE = 600.0
"""How long the processes of a run leave a remote alone that one of them found away."""
TOGETHER = 64
"""Actions pushed at a time: if the connection breaks, those before have their entries."""


class Remote:
    """The store elsewhere, for one process.

    Args:
        store: the local one; keeps files that are under way (``incoming/``), what is still to be pushed (``owed/``) and
            which of the remote's files were damaged (``distrusted/``).
        url: where the remote is.
        mode: ``read-only`` or ``read-write``.
        marks: folder in which the processes of a run tell each other that the remote is away.
    """

    def __init__(self, store: Store, url: str, mode: str, marks: Path) -> None:
        self.store, self.url, self.mode = store, url, mode
        self.name = shown(url)
        self.fetched: set[str] = set()
        """Digests of the actions whose output this process has fetched."""
        own = digest_bytes(self.name.encode())[:16]
        self._owed, self._distrust = store.root / "owed" / own, Distrust(store.root / "distrusted" / own, store)
        self._away, self._refuses = marks / "remote.away", marks / "remote.refuses"
        self._entries: dict[str, Found | None] = {}
        self._transport: Transport | None = None

    @classmethod
    def configured(cls, store: Store, marks: Path) -> "Remote | None":
        """The remote that the environment names, or none; nothing is asked or checked yet."""
        url = os.environ.get("TAPEOUT_REMOTE")
        return cls(store, url, os.environ.get("TAPEOUT_REMOTE_MODE") or "read-only", marks) if url else None

    @property
    def writable(self) -> bool:
        """Whether to push.

        Raises:
            RemoteError: the mode is neither of the two.
        """
        if self.mode not in ("read-only", "read-write"):
            raise RemoteError(f"TAPEOUT_REMOTE_MODE is {self.mode!r}.", "Say read-only or read-write.")
        return self.mode == "read-write"

    def forget_failures(self) -> None:
        """Forget that the remote was away when it was last asked: a new run begins."""
        for mark in (self._away, self._refuses):
            mark.unlink(missing_ok=True)

    def find(self, actions: Sequence[Action]) -> dict[str, Manifest]:
        """Which of the actions the remote has, by digest; all are asked for side by side, each once a process.

        An entry that is damaged, or names a file that was found damaged and is still the same, is named and not used.
        """
        asked = [action for action in actions if action.digest not in self._entries]
        pull = self._pull() if asked else None
        if pull is not None:
            try:
                found = pull.transport.each(pull.entry, asked)
            except (RemoteUnavailable, RemoteRefused) as error:
                self._leave(error)
            else:
                self._entries |= {action.digest: entry for action, entry in zip(asked, found, strict=True)}
        known = {action.digest: self._entries.get(action.digest) for action in actions}
        return {digest: entry[1] for digest, entry in known.items() if entry is not None}

    def missing_bytes(self, manifest: Manifest) -> int:
        """Bytes of an artifact that would have to be fetched."""
        return sum(entry.size for entry in self._lacking(manifest).values())

    def pull(self, action: Action, known: Manifest | None = None) -> Manifest | None:
        """Fetch what an action made.

        Args:
            action: what made it.
            known: its manifest, if the local store has lost or damaged only files of it.

        Returns:
            The manifest, once every file is in the local store; None if that could not be done.

        Raises:
            DiskFull: there is no space for it.
            NotWritable: this user may not write the local store.
        """
        manifest = known or self.find([action]).get(action.digest)
        return manifest if manifest is not None and self.fetch({action.digest: manifest}) else None

    def fetch(self, wanted: Mapping[str, Manifest]) -> set[str]:
        """Fetch what actions made, given their manifests; the digests of the actions that are whole here now.

        Raises:
            DiskFull: there is no space for it.
            NotWritable: this user may not write the local store.
        """
        pull = self._pull() if wanted else None
        if pull is None:
            return set()
        self.store.folder(self.store.root)
        free = shutil.disk_usage(self.store.root).free
        lacking: dict[str, tuple[str, Entry]] = {}
        for manifest in wanted.values():
            needed = self.missing_bytes(manifest)
            if needed > free:
                print_line(
                    f"! {manifest.artifact}: needs {format_size(needed)}, more than is free here; it is not fetched"
                )
                continue
            free -= needed
            lacking |= {key: (manifest.artifact, entry) for key, entry in self._lacking(manifest).items()}
        meter = Meter(sum(entry.size for _, entry in lacking.values()), f"from {self.name}")
        try:
            pull.transport.each(lambda item: pull.file(item[0], item[1], meter), list(lacking.values()))
        except (RemoteUnavailable, RemoteRefused) as error:
            self._leave(error)
        whole = {digest for digest, manifest in wanted.items() if not self._lacking(manifest)}
        for digest in sorted(whole):
            entry = self._entries.get(digest)
            if entry is not None and self.store.find(digest) is None:
                self.store.write_entry(*entry)
        self.fetched |= whole
        return whole

    def queue_push(self, action: str) -> None:
        """Note, before an action's output is sealed, that it is to be pushed; nothing if the mode is read-only."""
        if self.writable:
            self.store.open(self._owed / action, "ab").close()

    def queued(self) -> list[str]:
        """Digests of the actions whose output is still to be pushed, sorted."""
        owed = [path.name for path in self._owed.glob("*")] if self.writable else []
        return sorted(action for action in owed if self.store.action_path(action).exists())

    def push_queued(self, only: str = "") -> None:
        """Push what is owed, or of that one action; what fails is named and stays owed, and no run fails for it."""
        ready = [action for action in self.queued() if action.startswith(only)]
        if not ready or _recent(self._refuses) or _recent(self._away):
            return
        if not only:
            print_line(f". pushing to {self.name} what earlier runs could not: {len(ready)} of their outputs")
        try:
            self.push(ready)
        except RemoteUnavailable as error:
            self._leave(error)
        except RemoteRefused as error:
            write_atomically(self._refuses, f"{error.cause}\n".encode())
            print_line(f"! {error.cause} Still to be pushed: the next run does it, or tapeout push.")

    def push(self, actions: Sequence[str]) -> list[Pushed]:
        """Push what actions made; see ``Push.actions``.

        Raises:
            RemoteUnavailable: it does not answer.
            RemoteRefused: it may not be written, or is full.
        """
        transport = self._connect()
        push, pushed = Push(self.store, transport, self._distrust), []
        for start in range(0, len(actions), TOGETHER):
            pushed += push.actions(actions[start : start + TOGETHER])
            for done in pushed[start:]:
                if done.outcome is not Outcome.DAMAGED:
                    (self._owed / done.action).unlink(missing_ok=True)
        return pushed

    def _lacking(self, manifest: Manifest) -> dict[str, Entry]:
        found = {object_key(entry): entry for entry in manifest.entries}
        return {key: entry for key, entry in found.items() if not (self.store.root / key).is_file()}

    def _pull(self) -> Pull | None:
        transport = self._reach()
        return None if transport is None else Pull(self.store, transport, self._distrust)

    def _connect(self) -> Transport:
        if self._transport is None:
            transport = Transport(self.url)
            transport.reach()
            self._transport = transport
        return self._transport

    def _reach(self) -> Transport | None:
        """The remote if it is there; none if it is not, or if a process of this run found it away a short while ago."""
        if _recent(self._away):
            return None
        try:
            return self._connect()
        except (RemoteUnavailable, RemoteRefused) as error:
            self._leave(error)
            return None

    def _leave(self, error: RemoteUnavailable | RemoteRefused) -> None:
        """Tell the user and the other processes of this run that the remote is not to be had."""
        write_atomically(self._away, f"{error.cause}\n".encode())
        later = "; what it builds is pushed by the next run, or by tapeout push" if self.writable else ""
        print_line(f"! {error.cause.removesuffix('.')}: the run goes on without it{later}.")


def _recent(mark: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - mark.stat().st_mtime < SECONDS_LEFT_ALONE
    return False
