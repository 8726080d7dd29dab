"""Keys whose signature lets the code of an export run: the one that the caller names, or those of the project."""

from pathlib import Path

from tapeout.graph.store.policy import POLICY, trusted_keys
from tapeout.provenance import slsa
from tapeout.provenance.errors import InvalidExport, UntrustedExport
from tapeout.provenance.folder import MAX_LISTED
from tapeout.provenance.signing import PublicKey, signers


def trusted_key(export: Path, given: PublicKey | None, policy: Path = POLICY) -> PublicKey | None:
    """Return the key with which an export is to be verified; None if no trusted key is named in its statements.

    Args:
        export: its folder.
        given: the signer's public key, which the caller got from elsewhere.
        policy: folder with trusted keys.

    Raises:
        InvalidKey: a file of the policy has no key.
    """
    if given is not None:
        return given
    statement = export / slsa.WHOLE
    keys = trusted_keys(policy)
    if not keys or not statement.is_file() or statement.stat().st_size > MAX_LISTED:
        return None
    try:
        named = signers(statement.read_bytes(), slsa.WHOLE)
    except InvalidExport:
        return None
    return next((keys[keyid] for keyid in named if keyid in keys), None)


def require_trust(verified: bool, signed_by: tuple[str, ...], unsigned: bool) -> None:
    """Check that the code of an export may run.

    Args:
        verified: its signature was verified with a trusted key.
        signed_by: identifiers of the keys that its statements name.
        unsigned: the caller accepts an export that nobody vouches for.

    Raises:
        UntrustedExport: it was not verified, and the caller does not accept that.
    """
    if verified or unsigned:
        return
    named = ", ".join(keyid[:16] for keyid in signed_by)
    who = f"It names the key {named}, which is not trusted here" if signed_by else "It is not signed"
    raise UntrustedExport(
        f"{who}, and a reproduction runs its code.",
        "Get the signer's key from elsewhere and give it (--public-key FILE, or tapeout trust add FILE), look at the "
        "export with --check, or run it all the same with --unsigned.",
    )
