"""``tapeout trust``: keys whose signatures make entries of a store or remote usable in this project."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, InvalidUse, artifact_names, caller_path
from tapeout.graph import named_runs
from tapeout.graph.errors import UnknownName
from tapeout.graph.files import write_atomically
from tapeout.graph.store.keys import is_private, public_pem, read_public_key
from tapeout.graph.store.trust import BUILT, POLICY, SIGNING, Trust
from tapeout.graph.workspace import Workspace

NEW = ".new"
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
    public = public_pem(key)
    POLICY.mkdir(parents=True, exist_ok=True)
    write_atomically(POLICY / NEW, public)
    keyid = read_public_key(POLICY / NEW).keyid
    (POLICY / NEW).replace(POLICY / f"{keyid[:SHORT]}.pem")
    if is_private(key):
        write_atomically(POLICY / SIGNING, f"{key.absolute()}\n".encode())
    _show(_trust(), as_json)


@app.command("list")
def show(as_json: AsJson = False) -> None:
    """List the trusted keys, and the one that signs what is built here.

    Exit code 0.
    """
    _show(_trust(), as_json)


@app.command()
def remove(
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="First characters of an identifier, as listed.")],
    as_json: AsJson = False,
) -> None:
    """Trust keys no more; without any key, every entry is used again.

    Exit code 0.
    """
    trust = _trust()
    for given in keys:
        found = [keyid for keyid in trust.keys if keyid.startswith(given)]
        if len(found) != 1:
            count = f"{len(found)} trusted keys begin" if found else "No trusted key begins"
            raise UnknownName(f"{count} with {given}.", "List them: tapeout trust list")
        for path in POLICY.glob("*.pem"):
            if read_public_key(path).keyid == found[0]:
                path.unlink()
        if trust.signer is not None and trust.signer.public_key.keyid == found[0]:
            (POLICY / SIGNING).unlink()
    _show(_trust(), as_json)


@app.command()
def sign(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTIFACT", help="Default: all in results/.", autocompletion=artifact_names),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign entries of artifacts in results/ that were built before there was a key.

    Sign only what you have built, or proved with tapeout rebuild --check.

    Exit code 0 if every artifact is signed now, else 1.
    """
    workspace, trust = Workspace.here(), _trust()
    if trust.signer is None:
        raise InvalidUse("No key signs what is built here.", "Add a private key: tapeout trust add KEY")
    store = replace(workspace.store, trust=None)
    names = artifacts or list(named_runs.artifact_names(workspace.results))
    rows = []
    for name in names:
        stated = workspace.stated_manifest(name)
        known = stated is not None and store.has_manifest(*stated)
        rows.append(
            [name, "signed" if known and stated and store.sign(stated[0].action, trust) else "not in the store"]
        )
    value = {"artifacts": [{"artifact": name, "outcome": outcome} for name, outcome in rows]}
    output.show(value, as_json, output.table(["artifact", "outcome"], rows))
    raise typer.Exit(0 if all(outcome == "signed" for _, outcome in rows) else 1)


def _trust() -> Trust:
    return Trust(POLICY, Workspace.work / BUILT)


def _show(trust: Trust, as_json: bool) -> None:
    own = trust.signer.public_key.keyid if trust.signer is not None else None
    value = {"keys": sorted(trust.keys), "signs": own, "signing_key": str(trust.signing_path) if own else None}
    rows = [[keyid[:SHORT], "signs what is built here" if keyid == own else ""] for keyid in sorted(trust.keys)]
    none = "No key is trusted: every entry of the store and of remotes is used."
    note = "Entries of the store and of remotes without a signature of these keys are not used."
    output.show(value, as_json, *([output.table(["key", ""], rows), note] if rows else [none]))
