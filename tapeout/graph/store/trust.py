"""Trust in the entries of stores: the policy of a project, and what this folder has built itself.

Everything in a store is verified by digests except the claim of an entry that an action made certain files. Two things
outside of the store limit which claims are used, so that nobody who may write the store can change them:

``config/trust/*.pem``
    Public keys. If there are any, only entries that one of them has signed are used, and what was built in this folder.
    ``config/trust/signing`` names the private key that signs what this user builds (``tapeout trust``).
``work/built``
    Digests of the outputs that were built in this folder. An entry that claims another output of the same action is
    forged, or the step is not reproducible.

A signature is a DSSE envelope beside the entry, about the action and the entry's content, never part of an artifact.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.graph.console import print_line
from tapeout.graph.files import only_regular, read_plain
from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.policy import signer, trusted_keys

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

BUILT = "built"
PAYLOAD_TYPE = "application/vnd.tapeout.entry+json"
MAX_SIGNATURE = 1 << 16
"""Bytes of an envelope; one with a signature has about 500."""
MAX_SIGNERS = 16
UNSIGNED, FOREIGN, MISMATCH = "not signed", "signed by no trusted key", "with a signature of other content"


@dataclass(frozen=True)
class Trust:
    """Entries that the processes of a folder accept.

    Attributes:
        policy: folder with the keys.
        built: file with the outputs that were built here, one a line: digest of the action, digest of the output.
        ignored: why entries are not used, by action digest, until it is reported.
    """

    policy: Path
    built: Path
    ignored: dict[str, str] = field(default_factory=dict, compare=False)
    reported: set[str] = field(default_factory=set, compare=False)

    @cached_property
    def keys(self) -> dict[str, SSlibKey]:
        """Trusted public keys by their id; empty without a policy.

        Raises:
            InvalidKey: the policy cannot be read, or a file in it has no key, which must not end in trusting everybody.
        """
        return trusted_keys(self.policy)

    @cached_property
    def signer(self) -> CryptoSigner | None:
        """The key that signs what is built here; None if there is none.

        Raises:
            InvalidKey: it cannot be read.
        """
        return signer(self.policy)

    def accepts(self, manifest: Manifest, content: str, signature: bytes | None) -> bool:
        """Return whether an entry is used; note the reason if it is not.

        What this folder has built needs no signature: no store can claim that.

        Args:
            manifest: its manifest.
            content: digest of its content (``entry.content_digest``).
            signature: its envelope; None if it has none.
        """
        reason = "" if self.was_built(manifest) else self._objection(manifest.action, content, signature)
        if not reason:
            outputs = self._outputs.get(manifest.action)
            if outputs is None or manifest.digest() in outputs:
                return True
            if manifest.action not in self.reported:
                known = f"this folder built {sha256(max(outputs))}, and the store has {sha256(manifest.digest())}"
                print_line(f"! {manifest.artifact}: not reproducible, or forged: {known}, which is not used")
                self.reported.add(manifest.action)
            return False
        if manifest.action not in self.reported:
            self.ignored[manifest.action] = reason
        return False

    def _objection(self, action: str, content: str, signature: bytes | None) -> str:
        if not self.keys:
            return ""
        if signature is None:
            return UNSIGNED
        envelope = read_envelope(signature)
        trusted = [self.keys[keyid] for keyid in envelope.signatures if keyid in self.keys] if envelope else []
        if envelope is None or not trusted:
            return FOREIGN
        if envelope.payload != _payload(action, content):
            return MISMATCH
        return "" if any(_is_valid(envelope, key) for key in trusted) else MISMATCH

    def sign(self, action: str, content: str) -> bytes | None:
        """Return the envelope of an entry; None without a key."""
        if self.signer is None:
            return None
        from securesystemslib.dsse import Envelope

        envelope = Envelope(_payload(action, content), PAYLOAD_TYPE, {})
        envelope.sign(self.signer)
        return canonical(envelope.to_dict()) + b"\n"

    def report(self) -> None:
        """Print how many entries were not used since the last report, and why."""
        if self.ignored:
            counts = sorted(Counter(self.ignored.values()).items())
            reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
            number = len(self.ignored)
            entries = "1 entry of the store is" if number == 1 else f"{number} entries of the store are"
            print_line(f"! {entries} not used: {reasons} (tapeout trust list)")
        self.reported.update(self.ignored)
        self.ignored.clear()

    # -- what was built here ---------------------------------------------------------------------------------------

    def note_built(self, manifest: Manifest) -> None:
        """Note the output of an action that was built here."""
        self.built.parent.mkdir(parents=True, exist_ok=True)
        with open(self.built, "ab", buffering=0, opener=only_regular) as file:
            file.write(f"{manifest.action} {manifest.digest()}\n".encode())
        self._outputs.setdefault(manifest.action, set()).add(manifest.digest())

    def was_built(self, manifest: Manifest) -> bool:
        """Return whether an action with this output was built here."""
        return manifest.digest() in self._outputs.get(manifest.action, ())

    def outputs(self, action: str) -> frozenset[str]:
        """Return the digests of all outputs of an action that were built here."""
        return frozenset(self._outputs.get(action, ()))

    def has_signed(self, action: str, content: str, signature: bytes | None) -> bool:
        """Return whether a trusted key has signed an entry."""
        return bool(self.keys) and not self._objection(action, content, signature)

    @cached_property
    def _outputs(self) -> dict[str, set[str]]:
        outputs: dict[str, set[str]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in read_plain(self.built).decode("ascii", "replace").splitlines():
                action, _, digest = line.partition(" ")
                if len(action) == len(digest) == 64:  # a crash may have cut a line short
                    outputs.setdefault(action, set()).add(digest)
        return outputs


def sha256(digest: str) -> str:
    """Return a digest as messages show it."""
    return f"sha256:{digest}"


def _payload(action: str, content: str) -> bytes:
    return canonical({"action": action, "entry": content})


def read_envelope(data: bytes) -> Envelope | None:
    """Return an envelope with signatures of entries, or None if ``data`` is none."""
    from securesystemslib.dsse import Envelope

    try:
        envelope = Envelope.from_dict(json.loads(data)) if len(data) <= MAX_SIGNATURE else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return envelope if envelope is not None and envelope.payload_type == PAYLOAD_TYPE else None


def _is_valid(envelope: Envelope, key: SSlibKey) -> bool:
    from securesystemslib.exceptions import VerificationError

    own: Any = {key.keyid: envelope.signatures[key.keyid]}
    try:
        type(envelope)(envelope.payload, envelope.payload_type, own).verify([key], 1)
    except VerificationError:
        return False
    return True


def merge(ours: bytes, theirs: bytes | None) -> bytes:
    """Return an envelope with the signatures of two envelopes of the same entry; ``ours`` if they differ in content."""
    one, other = read_envelope(ours), read_envelope(theirs or b"")
    if one is None or other is None or one.payload != other.payload:
        return ours
    more = [keyid for keyid in sorted(other.signatures) if keyid not in one.signatures]
    for keyid in more[: MAX_SIGNERS - len(one.signatures)]:
        one.signatures[keyid] = other.signatures[keyid]
    return canonical(one.to_dict()) + b"\n"
