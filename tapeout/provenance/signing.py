"""Signatures: DSSE envelopes around in-toto statements, made and checked with ed25519 keys in PEM files.

ed25519 is deterministic, so that the same export signed with the same key has the same bytes.
"""

import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from tapeout.errors import TapeoutError
from tapeout.graph.identity.digest import canonical
from tapeout.provenance.folder import AlteredExport

PrivateKey = CryptoSigner
PublicKey = SSlibKey
PAYLOAD_TYPE = "application/vnd.in-toto+json"
HOW = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out public.pem"


class UnfitKey(TapeoutError):
    """A file that is to hold a key holds none that can be used."""


class NotSigned(TapeoutError):
    """A signature was asked for and there is none."""


class WrongKey(TapeoutError):
    """The export was signed with another key than the one given."""


class WrongSignature(TapeoutError):
    """What was signed with the key given is not what the envelope holds."""


def read_private_key(path: Path) -> PrivateKey:
    """An ed25519 private key (PKCS#8 in PEM, not encrypted); raises ``UnfitKey`` for anything else."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnfitKey(f"{path} holds no private key that can be read: {error}.", f"Make one: {HOW}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnfitKey(f"The key in {path} is not an ed25519 key.", f"Make one: {HOW}")
    return CryptoSigner(key)


def read_public_key(path: Path) -> PublicKey:
    """An ed25519 public key in PEM; raises ``UnfitKey`` for anything else."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UnfitKey(
            f"{path} holds no public key that can be read: {error}.", "Give the signer's public.pem."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnfitKey(f"The key in {path} is not an ed25519 key.", "Give the signer's public.pem.")
    return SSlibKey.from_crypto(key)


def sealed(statement: dict[str, Any], signer: PrivateKey | None) -> bytes:
    """The envelope file of a statement; without a signer it holds no signature."""
    envelope = Envelope(canonical(statement), PAYLOAD_TYPE, {})
    if signer is not None:
        envelope.sign(signer)
    return canonical(envelope.to_dict()) + b"\n"


def unsealed(data: bytes, name: str, key: PublicKey | None) -> bytes:
    """The payload of an envelope, after its signature was checked if a key is given.

    Raises:
        AlteredExport: it is no envelope.
        NotSigned: a key is given, and there is no signature.
        WrongKey: the signatures are by other keys.
        WrongSignature: the signature by this key is not one of this payload.
    """
    envelope = _read(data, name)
    if key is not None:
        _verify(envelope, name, key)
    return envelope.payload


def signers(data: bytes, name: str) -> tuple[str, ...]:
    """Identifiers of the keys that an envelope names, sorted; raises ``AlteredExport`` if it is none."""
    return tuple(sorted(_read(data, name).signatures))


def _read(data: bytes, name: str) -> Envelope:
    try:
        envelope = Envelope.from_dict(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlteredExport(f"{name} is no envelope of a statement: {error}.", "Get the export again.") from error
    if canonical(envelope.to_dict()) + b"\n" != data:
        raise AlteredExport(f"{name} holds more than its envelope.", "Get the export again.")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise AlteredExport(f"{name} holds {envelope.payload_type!r}, no statement.", "Get the export again.")
    return envelope


def _verify(envelope: Envelope, name: str, key: PublicKey) -> None:
    if not envelope.signatures:
        raise NotSigned(f"{name} is not signed.", "Ask for a signed export, or leave --public-key out.")
    if key.keyid not in envelope.signatures:
        raise WrongKey(
            f"{name} is signed by the key {', '.join(envelope.signatures)}, not by {key.keyid}.",
            "Give the signer's public key; if you did, the export is by somebody else.",
        )
    if len(envelope.signatures) > 1:
        raise WrongKey(
            f"{name} names the keys {', '.join(sorted(envelope.signatures))}; only {key.keyid} was asked for.",
            "An export has one signer: get it again from where it was made.",
        )
    try:
        envelope.verify([key], 1)
    except VerificationError as error:
        raise WrongSignature(
            f"The signature of {name} is not one of what it holds.", "It was altered: trust nothing in the export."
        ) from error
