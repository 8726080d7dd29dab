"""Keys for signatures: ed25519 in PEM files, as openssl writes them.

ed25519 is deterministic, so that the same content signed twice with the same key has the same bytes. The functions
import the libraries themselves, because only runs with a policy of trust need them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tapeout.graph.errors import InvalidKey, NotAPlainFile
from tapeout.graph.files import read_file

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

KEY_COMMANDS = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out public.pem"


def read_private_key(path: Path) -> CryptoSigner:
    """Return an ed25519 private key (PKCS#8 in PEM, not encrypted); raise ``InvalidKey`` for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

    try:
        key = load_pem_private_key(read_file(path), None)
    except (OSError, ValueError, TypeError, NotAPlainFile, UnsupportedAlgorithm) as error:
        raise InvalidKey(f"{path} has no readable private key: {error}.", f"Create one: {KEY_COMMANDS}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidKey(f"The key in {path} is not an ed25519 key.", f"Create one: {KEY_COMMANDS}")
    return CryptoSigner(key)


def read_public_key(path: Path) -> SSlibKey:
    """Return an ed25519 public key in PEM; raise ``InvalidKey`` for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    try:
        key = load_pem_public_key(read_file(path))
    except (OSError, ValueError, NotAPlainFile, UnsupportedAlgorithm) as error:
        raise InvalidKey(f"{path} has no readable public key: {error}.", "Give the signer's public.pem.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidKey(f"The key in {path} is not an ed25519 key.", "Give the signer's public.pem.")
    return SSlibKey.from_crypto(key)


def public_pem(path: Path) -> bytes:
    """Return the public key, in PEM, of a file with a private or public key; raise ``InvalidKey`` for anything else."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    if not is_private(path):
        read_public_key(path)
        return read_file(path)
    read_private_key(path)
    public = load_pem_private_key(read_file(path), None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(public: bytes) -> str:
    """Return the identifier of a public key in PEM, as ``public_pem`` returns it."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    return SSlibKey.from_crypto(load_pem_public_key(public)).keyid


def is_private(path: Path) -> bool:
    """Return whether a file has a private key; raise ``InvalidKey`` if it cannot be read."""
    try:
        return b"PRIVATE KEY-----" in read_file(path)
    except (OSError, NotAPlainFile) as error:
        raise InvalidKey(f"{path} cannot be read: {error}.", f"Create a key: {KEY_COMMANDS}") from error
