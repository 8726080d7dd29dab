"""Pushing to a remote store: first the files that it lacks, last the entry that makes them valid."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tapeout.graph.console import print_line
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.pull import MAX_ENTRY_SIZE, DamageNotes, decode_bounded
from tapeout.graph.remote.transport import Transport
from tapeout.graph.store.entry import content_digest
from tapeout.graph.store.store import Store, action_key, object_key, signature_key
from tapeout.graph.store.trust import MAX_SIGNATURE, merge, sha256


class Outcome(StrEnum):
    """Outcome of pushing one action."""

    PUSHED = "pushed"
    PRESENT = "already there"
    DIFFERS = "different result there"
    DAMAGED = "damaged here"
    TOO_MANY_FILES = "too many files"


@dataclass(frozen=True)
class PushResult:
    """Outcome of pushing one action; ``sent`` is the size in bytes of the files that were sent."""

    artifact: str
    action: str
    outcome: Outcome
    sent: int


@dataclass(frozen=True)
class Push:
    """Transfers from the local store into a remote; all methods raise the errors of ``Transport``."""

    store: Store
    transport: Transport
    damaged: DamageNotes

    def actions(self, actions: Sequence[str]) -> list[PushResult]:
        """Push the outputs of actions concurrently; actions that the local store does not have are ignored.

        A file that the remote has with the right size is not sent again, unless it is known to be damaged. If the
        remote has a different, complete result of the same action, that one stays.
        """
        ours = [manifest for action in actions if (manifest := self.store.find(action)) is not None]
        expected = self.transport.map(self._expected, ours)
        files = {
            object_key(entry): entry
            for manifest, outcome in zip(ours, expected, strict=True)
            if outcome in (Outcome.PUSHED, Outcome.PRESENT)
            for entry in manifest.entries
        }
        sent = dict(zip(files, self.transport.map(self._file, list(files.values())), strict=True))
        pairs = list(zip(ours, expected, strict=True))
        return self.transport.map(lambda pair: self._entry(pair[0], pair[1], sent), pairs)

    def _expected(self, manifest: Manifest) -> Outcome:
        """Return the outcome for an action, from the remote's entry and assuming that its files are intact here."""
        if self.store.action_path(manifest.action).stat().st_size > MAX_ENTRY_SIZE:
            return Outcome.TOO_MANY_FILES
        data = self.transport.read(action_key(manifest.action), MAX_ENTRY_SIZE + 1)
        try:
            found, theirs = decode_bounded(data or b"", manifest.action)
        except ValueError:
            return Outcome.PUSHED
        if theirs == manifest:
            return Outcome.PRESENT
        if not self._is_trusted(found, theirs) or not all(map(self._is_present, theirs.entries)):
            return Outcome.PUSHED
        digests = f"{sha256(manifest.digest())} here, {sha256(theirs.digest())} in the remote {self.transport.name}"
        print_line(f"! {manifest.artifact}: not reproducible: {digests} (kept)")
        return Outcome.DIFFERS

    def _is_trusted(self, action: Action, theirs: Manifest) -> bool:
        """Return whether an entry of the remote has a trusted signature, if there is a policy."""
        trust = self.store.trust
        if trust is None or not trust.keys:
            return True
        signature = self.transport.read(signature_key(action.digest), MAX_SIGNATURE)
        return trust.accepts(theirs, content_digest(action, theirs), signature)

    def _is_present(self, entry: Entry) -> bool:
        status = self.transport.stat(object_key(entry))
        return status is not None and status[0] == entry.size and not self.damaged.note(object_key(entry)).exists()

    def _file(self, entry: Entry) -> int | None:
        """Send a file if the remote lacks it; return the bytes sent, or None if it is damaged here."""
        if self._is_present(entry):
            return 0
        path = self.store.object_path(entry)
        if not self.store.has_object(entry) or digest_file(path) != entry.digest:
            return None
        self.transport.upload(path, object_key(entry))
        self.damaged.note(object_key(entry)).unlink(missing_ok=True)
        return entry.size

    def _entry(self, manifest: Manifest, outcome: Outcome, sent: dict[str, int | None]) -> PushResult:
        """Send an action's entry if the remote has all its files."""
        amounts = [sent.get(key, 0) for key in {object_key(entry) for entry in manifest.entries}]
        total = sum(amount or 0 for amount in amounts)
        if None in amounts:
            outcome = Outcome.DAMAGED
        elif outcome in (Outcome.PUSHED, Outcome.PRESENT):
            self._signature(manifest.action)  # before the entry, which nobody would use without it
            if outcome is Outcome.PUSHED:
                self.transport.upload(self.store.action_path(manifest.action), action_key(manifest.action))
            outcome = Outcome.PUSHED if total else outcome
        if outcome not in (Outcome.PUSHED, Outcome.PRESENT):
            print_line(f"! {manifest.artifact}: not pushed: {outcome}")
        return PushResult(manifest.artifact, manifest.action, outcome, total)

    def _signature(self, action: str) -> None:
        """Send the signatures of an entry, with those that the remote has, unless it has them all."""
        ours = self.store.read_signature(action)
        if ours is None:
            return
        theirs = self.transport.read(signature_key(action), MAX_SIGNATURE)
        merged = merge(ours, theirs)
        if merged != theirs:
            self.store.write(self.store.signature_path(action), merged)
            self.transport.upload(self.store.signature_path(action), signature_key(action))
