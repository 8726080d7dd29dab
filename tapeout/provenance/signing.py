"""Signatures: DSSE envelopes with in-toto statements, signed and verified with ed25519 keys in PEM files.

ed25519 is deterministic, so that an export signed twice with the same key has the same bytes.
"""

import json
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from tapeout.graph.identity.digest import canonical
from tapeout.guard.nesting import is_nested_deeply
from tapeout.provenance.errors import InvalidExport

PrivateKey = CryptoSigner
PublicKey = SSlibKey
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def envelope(statement: dict[str, Any], signer: PrivateKey | None) -> bytes:
    """Return the envelope file of a statement; without a signer it has no signature."""
    new = Envelope(canonical(statement), PAYLOAD_TYPE, {})
    if signer is not None:
        new.sign(signer)
    return canonical(new.to_dict()) + b"\n"


def open_envelope(data: bytes, name: str, key: PublicKey | None) -> bytes:
    """Return the payload of an envelope, after verifying its signature if a key is given.

    Args:
        data: the envelope file.
        name: its path in the export, for errors.
        key: the only key that may have signed it.

    Raises:
        InvalidExport: it is not an envelope, is not signed by the key, or the signature does not match the payload.
    """
    envelope = _read(data, name)
    if key is not None:
        _verify(envelope, name, key)
    return envelope.payload


def signers(data: bytes, name: str) -> tuple[str, ...]:
    """Return the sorted identifiers of the keys in an envelope; raise ``InvalidExport`` if it is not one."""
    return tuple(sorted(_read(data, name).signatures))


def _read(data: bytes, name: str) -> Envelope:
    try:
        value = json.loads(data)
        if is_nested_deeply(value):
            raise ValueError("nested too deeply")
        envelope = Envelope.from_dict(value)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidExport(f"{name} is not a DSSE envelope: {error}.", "Get the export again.") from error
    if canonical(envelope.to_dict()) + b"\n" != data:
        raise InvalidExport(f"{name} contains more than an envelope.", "Get the export again.")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise InvalidExport(f"{name} contains {envelope.payload_type!r}, not a statement.", "Get the export again.")
    return envelope


def _verify(envelope: Envelope, name: str, key: PublicKey) -> None:
    if not envelope.signatures:
        raise InvalidExport(f"{name} is not signed.", "Request a signed export, or leave out --public-key.")
    if key.keyid not in envelope.signatures:
        raise InvalidExport(
            f"{name} is signed by the key {', '.join(envelope.signatures)}, not by {key.keyid}.",
            "Give the signer's public key. If this is the right key, somebody else signed the export.",
        )
    if len(envelope.signatures) > 1:
        raise InvalidExport(
            f"{name} names the keys {', '.join(sorted(envelope.signatures))}; only {key.keyid} is allowed.",
            "An export has one signer: get it again from its author.",
        )
    try:
        envelope.verify([key], 1)
    except VerificationError as error:
        raise InvalidExport(
            f"The signature of {name} does not match its content.", "It was altered: do not trust the export."
        ) from error
