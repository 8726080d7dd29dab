"""Keys for signatures, as openssl writes them."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class Keys:
    """Files of a key pair."""

    private: Path
    public: Path


def make_keys(folder: Path) -> Keys:
    """Write a new ed25519 key pair."""
    folder.mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    keys = Keys(folder / "key.pem", folder / "public.pem")
    keys.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    keys.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return keys
