"""Check an export before running any of it: its signature, every byte, and the consistency of its parts."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tapeout.errors import TapeoutError
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.digest import canonical, digest_file
from tapeout.graph.identity.environment import read_environment
from tapeout.guard.nesting import is_nested_deeply
from tapeout.provenance import slsa
from tapeout.provenance.document import ARTIFACTS, CODE, NAME, Document
from tapeout.provenance.errors import InvalidExport
from tapeout.provenance.folder import MAX_LISTED, SUMS, check, check_one, compare, survey
from tapeout.provenance.signing import PublicKey, open_envelope, signers


@dataclass(frozen=True)
class CheckedExport:
    """An export of which no byte was altered.

    Attributes:
        folder: its files.
        document: ``export.json``.
        digest: SHA-256 of ``SHA256SUMS``, and so of everything.
        files: number of files.
        signed_by: identifiers of the keys that its statements name.
        verified: whether the signature was verified, with a key that the caller got from elsewhere.
    """

    folder: Path
    document: Document
    digest: str
    files: int
    signed_by: tuple[str, ...]
    verified: bool


def check_export(folder: Path, key: PublicKey | None) -> CheckedExport:
    """Check an export without running any of it.

    Without ``key``, the signer's public key, no signature is verified.

    Raises:
        InvalidExport: a key is given, and the export is not signed by it; or the folder is not an export of this
            version, a file was altered, is missing or was added, or two files contradict each other.
    """
    sizes, whole = survey(folder), folder / slsa.WHOLE
    if key is not None:
        if not whole.is_file():
            raise InvalidExport("The export has no signed statements.", "Request one with --format slsa --key.")
        open_envelope(whole.read_bytes(), slsa.WHOLE, key)
    if (folder / NAME).is_file():
        check_one(folder, NAME)
        _check_sizes(read_document(folder / NAME), sizes)
    files = check(folder)
    document = read_document(folder / NAME)
    _check_files(document, files)
    _check_code(document, folder / CODE)
    signed_by: tuple[str, ...] = ()
    if any(name.startswith(f"{slsa.FOLDER}/") for name in files):
        _check_statements(document, folder, files, key)
        signed_by = signers(whole.read_bytes(), slsa.WHOLE)
    return CheckedExport(folder, document, digest_file(folder / SUMS), len(files) + 1, signed_by, key is not None)


def read_document(path: Path) -> Document:
    """Read ``export.json``; raise ``InvalidExport`` unless it is a document in canonical form."""
    try:
        data = path.read_bytes()
        value = json.loads(data)
        if is_nested_deeply(value):
            raise ValueError("nested too deeply")
        document = Document.model_validate(value)
    except (OSError, ValidationError, ValueError, RecursionError, TapeoutError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidExport(
            f"{NAME} cannot be read: {first}.", "Get the export again, or use its Tapeout version."
        ) from error
    if document.encode() != data:
        raise InvalidExport(f"{NAME} is not in canonical form.", "Get the export again.")
    return document


def _check_sizes(document: Document, sizes: dict[str, int]) -> None:
    """Check that the files of code and artifacts have the sizes of the document, before any of them is read."""
    expected = {f"{CODE}/{file.path}": file.size for file in document.code}
    for name in document.carried:
        for entry in document.manifests[name].entries:
            expected["/".join(filter(None, (ARTIFACTS, name, entry.path)))] = entry.size
    for name, size in sizes.items():
        if size != expected.get(name, size):
            raise InvalidExport(
                f"The file {name} was altered: it has {size:,} bytes, not {expected[name]:,} as in {NAME}.",
                "Do not trust the export; get it again from its author.",
            )
        if name not in expected and size > MAX_LISTED:
            raise InvalidExport(f"The file {name} has {size:,} bytes, too many for an export.", "Get it again.")


def _check_files(document: Document, files: dict[str, str]) -> None:
    """Check that code and included artifacts are those of the document."""
    expected = {f"{CODE}/{file.path}": file.sha256 for file in document.code}
    compare(expected, _below(files, CODE), f"in {NAME}")
    expected = {}
    for name in document.carried:
        for entry in document.manifests[name].entries:
            expected["/".join(filter(None, (ARTIFACTS, name, entry.path)))] = entry.digest
    compare(expected, _below(files, ARTIFACTS), f"in {NAME}")


def _below(files: dict[str, str], folder: str) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if name.startswith(f"{folder}/")}


def _check_code(document: Document, code: Path) -> None:
    """Check that code and lock files are those of the actions."""
    for name in document.manifests:
        step = document.step(name)
        try:
            same = closure(code / step.script, code, step.plugins) == step.code
        except (TapeoutError, OSError, ValueError):
            same = False
        if not same:
            raise InvalidExport(
                f"The code of {name} is not the code of its action.", "Do not trust the export; get it again."
            )
    files = {file.path: file.sha256 for file in document.code}
    for locked in document.environments:
        if files.get(locked.lock) != locked.sha256 or read_environment(locked.name, code).packages != locked.packages:
            raise InvalidExport(
                f"The lock file of the environment {locked.name} is not the one in {NAME}.", "Get the export again."
            )


def _check_statements(document: Document, folder: Path, files: dict[str, str], key: PublicKey | None) -> None:
    """Check that every statement follows from the document, and is signed if a key is given."""
    statements = slsa.of_actions(document)
    statements[slsa.WHOLE] = slsa.of_export(document, {n: d for n, d in files.items() if n != slsa.WHOLE})
    names = _below(files, slsa.FOLDER)
    compare(dict.fromkeys(statements, ""), dict.fromkeys(names, ""), f"among the statements that follow from {NAME}")
    for name, statement in statements.items():
        if open_envelope((folder / name).read_bytes(), name, key) != canonical(statement):
            raise InvalidExport(f"{name} contradicts {NAME}.", "Do not trust the export; get it again.")
