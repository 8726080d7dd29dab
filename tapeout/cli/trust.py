"""``tapeout trust``: keys whose signatures make entries of a store or remote usable in this project."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, InvalidUse, artifact_names, caller_path
from tapeout.graph import named_runs
from tapeout.graph.errors import InvalidKey, UnknownName
from tapeout.graph.files import write_atomically
from tapeout.graph.store.keys import is_private, key_id, public_pem
from tapeout.graph.store.policy import POLICY, SIGNING, policy_files, signer, signing_path
from tapeout.graph.store.trust import Trust
from tapeout.graph.workspace import Workspace
from tapeout.provenance.refuted import refutation

SHORT = 16
"""Characters of a key's identifier in its file's name and in tables."""

app = typer.Typer(
    help="Use only entries of stores that trusted keys have signed.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def add(
    key: Annotated[
        Path, typer.Argument(metavar="KEY", parser=caller_path, help="An ed25519 key (PEM), public or private.")
    ],
    as_json: AsJson = False,
) -> None:
    """Trust what a key has signed; a private key also signs what is built here.

    Public keys are copied to config/trust. Of a private key only the path is noted there.

    Exit code 0.
    """
    public, private = public_pem(key), is_private(key)
    path = POLICY / f"{key_id(public)[:SHORT]}.pem"
    policy_files(POLICY)  # before anything is written
    for changed in [path] + [POLICY / SIGNING] * private:
        _check_file(changed)
    POLICY.mkdir(parents=True, exist_ok=True)
    write_atomically(path, public)
    if private:
        write_atomically(POLICY / SIGNING, f"{key.absolute()}\n".encode())
    _show(as_json)


@app.command("list")
def show(as_json: AsJson = False) -> None:
    """List the trusted keys, files of config/trust without a key, and the key that signs what is built here.

    Exit code 0.
    """
    _show(as_json)


@app.command()
def remove(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY", help="First characters of an identifier, or a file of config/trust.")
    ],
    as_json: AsJson = False,
) -> None:
    """Trust keys no more; without any key, every entry is used again.

    No key has to be readable. The private key is forgotten with its public key, or if it cannot be read.

    Exit code 0.
    """
    removed = {path for given in keys for path in _files(given)}
    for path in removed:
        _check_file(path)
    for path in sorted(removed, key=lambda path: path.name != SIGNING):  # never sign with a key that is not trusted
        path.unlink()
    _show(as_json)


def _files(given: str) -> list[Path]:
    """Return the files of the policy to delete for what the user has given."""
    if not given:
        raise InvalidUse("A key has no empty name.", "List them: tapeout trust list")
    own = POLICY / SIGNING
    if given == SIGNING and os.path.lexists(own):
        return [own]
    files = policy_files(POLICY)
    named = [file for file in files if given in (file.path.name, file.path.stem)]
    found = named or [file for file in files if file.keyid is not None and file.keyid.startswith(given)]
    keyids = {file.keyid or file.path.name for file in found}
    if len(keyids) != 1:
        count = f"{len(keyids)} trusted keys begin" if found else "No trusted key begins"
        raise UnknownName(f"{count} with {given}.", "List them: tapeout trust list")
    if (keyid := found[0].keyid) is not None:
        found = [file for file in files if file.keyid == keyid]
    signs = os.path.lexists(own) and keyid is not None and _signing_key() in (keyid, None)
    return [file.path for file in found] + [own] * signs


@app.command()
def sign(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTIFACT", help="Default: all in results/.", autocompletion=artifact_names),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign entries of artifacts that were built in this folder before there was a key.

    Artifacts that others have built are signed only if they are named: name only what tapeout rebuild --check has
    proved. What a second build has refuted is not signed.

    Exit code 0 if every artifact is signed now, else 1.
    """
    workspace = Workspace.here()
    trust = workspace.store.trust
    if trust is None or trust.signer is None:
        raise InvalidUse("No key signs what is built here.", "Add a private key: tapeout trust add KEY")
    names = artifacts or list(named_runs.artifact_names(workspace.results))
    rows = [[name, _sign(workspace, trust, name, bool(artifacts))] for name in names]
    value = {"artifacts": [{"artifact": name, "outcome": outcome} for name, outcome in rows]}
    output.show(value, as_json, output.table(["artifact", "outcome"], rows))
    raise typer.Exit(0 if all(outcome == "signed" for _, outcome in rows) else 1)


def _sign(workspace: Workspace, trust: Trust, name: str, named: bool) -> str:
    """Sign the entry of an artifact in ``results/``; return the outcome."""
    store, stated = replace(workspace.store, trust=None), workspace.stated_manifest(name)
    if stated is None or not store.has_manifest(*stated):
        return "not in the store"
    if not named and not trust.was_built(stated[0]):
        return "not built here"
    if refutation(workspace, stated[0], journal=False):
        return "not reproducible"
    return "signed" if store.sign(stated[0].action, trust) else "not in the store"


def _check_file(path: Path) -> None:
    """Check that a file of the policy can be replaced or deleted; raise ``InvalidKey`` if not."""
    if path.is_dir() and not path.is_symlink():
        raise InvalidKey(f"{path} is a folder.", f"Delete it: rm -r {path}")


def _signing_key() -> str | None:
    """Return the identifier of the key that signs what is built here; None if there is none or it cannot be read."""
    try:
        key = signer(POLICY)
    except InvalidKey:
        return None
    return key.public_key.keyid if key is not None else None


def _show(as_json: bool) -> None:
    files, own = policy_files(POLICY), _signing_key()
    keyids = sorted({file.keyid for file in files if file.keyid is not None})
    unreadable = [str(file.path) for file in files if file.keyid is None]
    lost = os.path.lexists(POLICY / SIGNING) and own is None
    value = {
        "keys": keyids,
        "signs": own,
        "signing_key": str(signing_path(POLICY)) if own else None,
        "unreadable": unreadable + [str(POLICY / SIGNING)] * lost,
    }
    rows = [[keyid[:SHORT], "signs what is built here" if keyid == own else ""] for keyid in keyids]
    rows += [[Path(path).name, "no public key in a .pem file: remove or replace it"] for path in unreadable]
    rows += [[SIGNING, "names no readable key: remove it, or add a private key"]] * lost
    none = "No key is trusted: every entry of the store and of remotes is used."
    note = (
        "Entries of the store and of remotes without a signature of these keys are used only if built in this folder."
    )
    table = [output.table(["key", ""], rows)] if rows else []
    output.show(value, as_json, *table, note if files else none)
