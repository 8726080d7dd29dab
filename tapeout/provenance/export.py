"""Making an export: the document, the files that it names, and what the chosen formats add.

Every export can be reproduced; a format adds files for other programs. ``slsa`` adds ``attestations/``, ``rocrate``
adds ``ro-crate-metadata.json``.
"""

import contextlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tapeout.config.sources import Fetch
from tapeout.errors import TapeoutError
from tapeout.graph.identity.action import CONTAINER, Recipe
from tapeout.graph.identity.digest import digest_bytes, digest_file
from tapeout.graph.identity.environment import PYTHON
from tapeout.graph.layer import Layer
from tapeout.provenance import rocrate, slsa
from tapeout.provenance.checking import checked
from tapeout.provenance.closure import Closure, closure
from tapeout.provenance.code import configuration, project_files
from tapeout.provenance.document import ARTIFACTS, CODE, NAME, Document, File, Format, Image, Locked, Source
from tapeout.provenance.folder import creating, digests, write_sums
from tapeout.provenance.rebuild import rehearse
from tapeout.provenance.secrets import check_file, check_value, private
from tapeout.provenance.signing import PrivateKey, sealed


class DamagedArtifact(TapeoutError):
    """A file of an artifact is not what its manifest says."""


@dataclass(frozen=True)
class ExportOptions:
    """What the user asks for.

    Attributes:
        target: name of the artifact.
        run: a named run to take it from; None means ``results/``.
        formats: any number of them.
        signer: signs the statements of ``slsa``; None leaves them unsigned.
        with_artifacts: take along the files of every artifact, not of the target alone.
        also: files and folders of the project that no rule and no import names.
        date: of publication (ISO), which an RO-Crate must have; no clock is read.
    """

    target: str
    run: str | None = None
    formats: frozenset[Format] = frozenset()
    signer: PrivateKey | None = None
    with_artifacts: bool = False
    also: tuple[str, ...] = ()
    date: str = ""


def export(layer: Layer, wishes: ExportOptions, output: Path) -> Document:
    """Write an export to ``output``, a new folder or ``.tar`` archive; equal results and wishes give equal bytes.

    Raises:
        NotReproducible: the code and configuration in the folder are not what made the target.
        NotPortable: the project reads a file outside its folder.
        IncompleteCode: the files that go along are not enough to run the graph again.
        SecretInExport: something would give away a password, a token or a place on this machine.
        DamagedArtifact: a file that goes along is damaged.
        OutputExists: something lies at ``output``.
    """
    recipes = layer.recipes([wishes.target])
    found = closure(layer.workspace, recipes, wishes.target, wishes.run)
    given, resolved, generated = configuration(layer)
    check_value(given, "configuration")
    for name, action in found.actions.items():
        check_value(action.value, f"action of {name}")
    with creating(output) as folder:
        for path in project_files(layer, recipes, wishes.also):
            _copy(layer.root / path, folder / CODE / path)
        for path, data in generated.items():
            _write(folder / CODE / path, data)
        document = Document(
            target=wishes.target,
            artifacts=[manifest.as_json() for manifest in found.manifests.values()],
            actions={action.digest: action.value for action in found.actions.values()},
            sources=_sources(found),
            environments=_environments(layer, found, folder),
            images=_images(layer, recipes),
            python=PYTHON,
            machine=f"{sys.platform}-{platform.machine()}",
            configuration=given,
            resolved=resolved,
            code=_files(folder / CODE),
            carried=sorted(found.manifests) if wishes.with_artifacts else [wishes.target],
        )
        rehearse(folder / CODE, document, layer.workspace.store.root)
        for name in document.carried:
            _carry(found, name, folder / ARTIFACTS)
        _write(folder / NAME, document.encode())
        _add_formats(document, wishes, folder)
        write_sums(folder)
        checked(folder, wishes.signer.public_key if wishes.signer else None)  # as its receiver will
        secrets = private(layer.root)
        for name in digests(folder):
            check_file(folder / name, name, secrets)
    return document


def _add_formats(document: Document, wishes: ExportOptions, folder: Path) -> None:
    if Format.ROCRATE in wishes.formats:
        _write(folder / rocrate.NAME, rocrate.metadata(document, wishes.date, digest_bytes(document.encode())))
    if Format.SLSA in wishes.formats:
        for name, statement in slsa.of_actions(document).items():
            _write(folder / name, sealed(statement, wishes.signer))
        _write(folder / slsa.WHOLE, sealed(slsa.of_export(document, digests(folder)), wishes.signer))


def _sources(found: Closure) -> list[Source]:
    """The artifacts whose one parameter is the record of a source."""
    sources = []
    for name, action in found.actions.items():
        with contextlib.suppress(ValidationError):
            record = Fetch.model_validate(action.value["params"]).record
            given = action.value["params"]["record"]
            sources.append(Source(artifact=name, record=given, origin=record.origin, licence=record.licence))
    return sources


def _environments(layer: Layer, found: Closure, folder: Path) -> list[Locked]:
    names = sorted({action.value["environment"]["name"] for action in found.actions.values()} - {CONTAINER})
    locks = {name: f"envs/{name}.lock" for name in names}
    return [
        Locked(
            name=name,
            digest=layer.environments[name].digest,
            packages=layer.environments[name].packages,
            lock=lock,
            sha256=digest_file(folder / CODE / lock),
        )
        for name, lock in locks.items()
    ]


def _images(layer: Layer, recipes: dict[str, Recipe]) -> list[Image]:
    containers = {
        recipe.environment_digest: layer.containers[recipe.image] for recipe in recipes.values() if recipe.image
    }
    return [Image(image=container.pinned, digest=digest) for digest, container in sorted(containers.items())]


def _files(code: Path) -> list[File]:
    return [
        File(
            path=path,
            executable=os.access(code / path, os.X_OK),
            size=(code / path).stat().st_size,
            sha256=digest,
        )
        for path, digest in digests(code).items()
    ]


def _carry(found: Closure, name: str, folder: Path) -> None:
    """Copy the files of an artifact and compare the copies with its manifest."""
    manifest = found.manifests[name]
    for entry in manifest.entries:
        target = folder / name / entry.path if entry.path else folder / name
        source = found.file(manifest, entry)
        if source.is_file():
            _copy(source, target)
        if not target.is_file() or digest_file(target) != entry.digest:
            raise DamagedArtifact(
                f"The file {entry.path or name} of {name} is missing or damaged.", "Run: tapeout verify --deep --repair"
            )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
