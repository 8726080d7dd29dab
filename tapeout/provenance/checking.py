"""Checking an export before anything of it is run: the signature, every byte, and that its parts agree."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tapeout.graph.errors import GraphError
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.digest import canonical, digest_file
from tapeout.graph.identity.environment import read_environment
from tapeout.provenance import slsa
from tapeout.provenance.document import ARTIFACTS, CODE, NAME, Document
from tapeout.provenance.folder import SUMS, AlteredExport, NotAnExport, check, compare
from tapeout.provenance.signing import NotSigned, PublicKey, signers, unsealed


@dataclass(frozen=True)
class Checked:
    """An export in which every byte is what it was when it was made.

    Attributes:
        folder: where its files lie.
        document: ``export.json``.
        digest: SHA-256 of ``SHA256SUMS``, and so of everything.
        files: how many files it has.
        signed_by: identifiers of the keys that its statements name.
        verified: whether the signature was checked with a key that the caller has from elsewhere.
    """

    folder: Path
    document: Document
    digest: str
    files: int
    signed_by: tuple[str, ...]
    verified: bool


def checked(folder: Path, key: PublicKey | None) -> Checked:
    """Check an export; nothing of it is run.

    Args:
        folder: of the export.
        key: the signer's public key, if the signature is to be checked.

    Raises:
        NotSigned, WrongKey, WrongSignature: what is wrong with the signature, if a key is given.
        NotAnExport: the folder is none, or one of another version.
        AlteredExport: a file was altered, is missing or was added, or two of them contradict each other.
    """
    whole = folder / slsa.WHOLE
    if key is not None:
        if not whole.is_file():
            raise NotSigned("The export holds no signed statements.", "Ask for one of --format slsa, with --key.")
        unsealed(whole.read_bytes(), slsa.WHOLE, key)
    found = check(folder)
    document = read_document(folder / NAME)
    _check_files(document, found)
    _check_code(document, folder / CODE)
    signed_by: tuple[str, ...] = ()
    if any(name.startswith(f"{slsa.FOLDER}/") for name in found):
        _check_statements(document, folder, found, key)
        signed_by = signers(whole.read_bytes(), slsa.WHOLE)
    return Checked(folder, document, digest_file(folder / SUMS), len(found) + 1, signed_by, key is not None)


def read_document(path: Path) -> Document:
    """Read ``export.json``; raises ``NotAnExport`` unless it is a document in its one canonical form."""
    try:
        data = path.read_bytes()
        document = Document.model_validate(json.loads(data))
    except (OSError, ValidationError, ValueError, RecursionError, GraphError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise NotAnExport(f"{NAME} cannot be read: {first}.", "Get the export again, or use its version.") from error
    if document.encode() != data:
        raise NotAnExport(f"{NAME} is not in canonical form.", "Get the export again.")
    return document


def _check_files(document: Document, found: dict[str, str]) -> None:
    """The code and the artifacts that go along are those of the document."""
    expected = {f"{CODE}/{file.path}": file.sha256 for file in document.code}
    compare(expected, _below(found, CODE), f"in {NAME}")
    expected = {}
    for name in document.carried:
        for entry in document.manifests[name].entries:
            expected["/".join(filter(None, (ARTIFACTS, name, entry.path)))] = entry.digest
    compare(expected, _below(found, ARTIFACTS), f"in {NAME}")


def _below(found: dict[str, str], folder: str) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if name.startswith(f"{folder}/")}


def _check_code(document: Document, code: Path) -> None:
    """The code and the locks are those that the actions were carried out with."""
    for name in document.manifests:
        step = document.step(name)
        try:
            same = closure(code / step.script, code, step.plugins) == step.code
        except (GraphError, OSError, ValueError):
            same = False
        if not same:
            raise AlteredExport(
                f"The code of {name} is not what its action says.", "Trust nothing in it; get the export again."
            )
    files = {file.path: file.sha256 for file in document.code}
    for locked in document.environments:
        if files.get(locked.lock) != locked.sha256 or read_environment(locked.name, code).packages != locked.packages:
            raise AlteredExport(
                f"The lock of the environment {locked.name} is not what {NAME} says.", "Get the export again."
            )


def _check_statements(document: Document, folder: Path, found: dict[str, str], key: PublicKey | None) -> None:
    """Every statement says what the document says, and is signed if a key is given."""
    statements = slsa.of_actions(document)
    statements[slsa.WHOLE] = slsa.of_export(document, {n: d for n, d in found.items() if n != slsa.WHOLE})
    names = _below(found, slsa.FOLDER)
    compare(dict.fromkeys(statements, ""), dict.fromkeys(names, ""), f"a statement about {NAME}")
    for name, statement in statements.items():
        if unsealed((folder / name).read_bytes(), name, key) != canonical(statement):
            raise AlteredExport(f"{name} does not say what {NAME} says.", "Trust nothing in it.")
