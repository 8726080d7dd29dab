"""Giving to a store elsewhere: first the files that it lacks, last the entry that vouches for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tapeout.graph.console import print_line
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.remote.pull import LARGEST_ENTRY, Distrust, decode_bounded
from tapeout.graph.remote.transport import Transport
from tapeout.graph.store.store import Store, action_key, object_key


class Outcome(StrEnum):
    """What became of one action that was to be pushed."""

    PUSHED = "pushed"
    WAS_THERE = "was there"
    DIFFERS = "another result there"
    DAMAGED = "damaged here"
    TOO_MANY_FILES = "too many files"


@dataclass(frozen=True)
class Pushed:
    """What became of one action; ``sent`` is the number of bytes of its files that were sent."""

    artifact: str
    action: str
    outcome: Outcome
    sent: int


@dataclass(frozen=True)
class Push:
    """One process's way from the local store into a remote; its methods raise what the transport's raise."""

    store: Store
    transport: Transport
    distrust: Distrust

    def actions(self, actions: Sequence[str]) -> list[Pushed]:
        """Push what actions made, side by side; actions that the local store does not have are passed over.

        A file that is there with its size is not sent again, unless it was found damaged. Another result of the same
        action that is whole there stays: who was first counts.
        """
        ours = [manifest for action in actions if (manifest := self.store.find(action)) is not None]
        expected = self.transport.each(self._expected, ours)
        files = {
            object_key(entry): entry
            for manifest, outcome in zip(ours, expected, strict=True)
            if outcome in (Outcome.PUSHED, Outcome.WAS_THERE)
            for entry in manifest.entries
        }
        sent = dict(zip(files, self.transport.each(self._file, list(files.values())), strict=True))
        pairs = list(zip(ours, expected, strict=True))
        return self.transport.each(lambda pair: self._entry(pair[0], pair[1], sent), pairs)

    def _expected(self, manifest: Manifest) -> Outcome:
        """What becomes of an action, by what the remote has for it, if its files are whole here."""
        if self.store.action_path(manifest.action).stat().st_size > LARGEST_ENTRY:
            return Outcome.TOO_MANY_FILES
        data = self.transport.read(action_key(manifest.action), LARGEST_ENTRY + 1)
        try:
            theirs = decode_bounded(data or b"", manifest.action)[1]
        except ValueError:
            return Outcome.PUSHED
        if theirs == manifest:
            return Outcome.WAS_THERE
        return Outcome.DIFFERS if all(map(self._there, theirs.entries)) else Outcome.PUSHED

    def _there(self, entry: Entry) -> bool:
        found = self.transport.stat(object_key(entry))
        return found is not None and found[0] == entry.size and not self.distrust.note(object_key(entry)).exists()

    def _file(self, entry: Entry) -> int | None:
        """Send a file if the remote lacks it; bytes sent, or nothing if it is damaged here."""
        if self._there(entry):
            return 0
        place = self.store.object_path(entry)
        if not place.is_file() or digest_file(place) != entry.digest:
            return None
        self.transport.upload(place, object_key(entry))
        self.distrust.note(object_key(entry)).unlink(missing_ok=True)
        return entry.size

    def _entry(self, manifest: Manifest, outcome: Outcome, sent: dict[str, int | None]) -> Pushed:
        """Write an action's entry if all its files are there."""
        amounts = [sent.get(key, 0) for key in {object_key(entry) for entry in manifest.entries}]
        total = sum(amount or 0 for amount in amounts)
        if None in amounts:
            outcome = Outcome.DAMAGED
        elif outcome is Outcome.PUSHED:
            self.transport.upload(self.store.action_path(manifest.action), action_key(manifest.action))
        elif outcome is Outcome.WAS_THERE and total:
            outcome = Outcome.PUSHED
        if outcome not in (Outcome.PUSHED, Outcome.WAS_THERE):
            print_line(f"! {manifest.artifact}: not pushed: {outcome}")
        return Pushed(manifest.artifact, manifest.action, outcome, total)
