"""Files of a policy of trusted keys: public keys, and the path of the private key that signs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tapeout.graph.errors import InvalidKey, NotAPlainFile
from tapeout.graph.files import read_file
from tapeout.graph.store.keys import read_private_key, read_public_key

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

POLICY = Path("config/trust")
SIGNING = "signing"
IGNORED = re.compile(r"\.gitignore|README.*|\.new|\..+\.[0-9a-f]{16}\.tmp")
"""Names of files beside the keys; the last two are of an interrupted ``tapeout trust add``. A file of any other name
may be a key that should be trusted alone."""
UNREADABLE = "Make it a folder that you may read, or delete it to use every entry."


@dataclass(frozen=True)
class PolicyFile:
    """A file with a public key; ``keyid`` is None if the key cannot be read."""

    path: Path
    keyid: str | None


def trusted_keys(policy: Path) -> dict[str, SSlibKey]:
    """Return the public keys of a policy by their id; none without a policy.

    Raises:
        InvalidKey: the policy cannot be read, or a file in it has no key, which must not end in trusting everybody.
    """
    keys = {}
    for path in _key_paths(policy):
        if path.suffix != ".pem":
            fix = "Give a file with a public key a name that ends in .pem, or delete it."
            raise InvalidKey(f"{path} is no part of a policy of trusted keys.", fix)
        try:
            key = read_public_key(path)
        except InvalidKey as error:
            raise InvalidKey(error.cause, f"Remove or replace {path}: tapeout trust remove {path.name}") from error
        keys[key.keyid] = key
    return keys


def policy_files(policy: Path) -> list[PolicyFile]:
    """Return the files of a policy that should have public keys, sorted, also those that have none.

    Raises:
        InvalidKey: the folder cannot be read.
    """
    files = []
    for path in _key_paths(policy):
        try:
            files.append(PolicyFile(path, read_public_key(path).keyid if path.suffix == ".pem" else None))
        except InvalidKey:
            files.append(PolicyFile(path, None))
    return files


def _key_paths(policy: Path) -> list[Path]:
    try:
        names = sorted(path.name for path in policy.iterdir())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not policy.is_symlink():
            return []
        raise InvalidKey(f"{policy}, the policy of trusted keys, cannot be read: {error}.", UNREADABLE) from error
    others = {name for name in names if IGNORED.fullmatch(name) and not name.endswith(".pem")} | {SIGNING}
    return [policy / name for name in names if name not in others]


def signing_path(policy: Path) -> Path | None:
    """Return the path of the private key that signs; None if there is none.

    Raises:
        InvalidKey: the file that names it cannot be read.
    """
    try:
        return Path(read_file(policy / SIGNING).decode().strip())
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, OSError, NotAPlainFile) as error:
        raise InvalidKey(f"{policy / SIGNING} names no key.", _NEW_SIGNER) from error


def signer(policy: Path) -> CryptoSigner | None:
    """Return the private key that signs; None if there is none.

    Raises:
        InvalidKey: it cannot be read.
    """
    path = signing_path(policy)
    try:
        return read_private_key(path) if path is not None else None
    except InvalidKey as error:
        what = "is no key for signatures" if os.path.lexists(path or "") else "is gone"
        raise InvalidKey(f"{policy / SIGNING} names a key that {what}: {path}.", _NEW_SIGNER) from error


_NEW_SIGNER = f"Run: tapeout trust remove {SIGNING}, or tapeout trust add KEY"
