"""Write an export: the provenance document, the files that it names, and additional formats for other programs.

The format ``slsa`` adds ``attestations/``, and ``rocrate`` adds ``ro-crate-metadata.json``.
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
from tapeout.graph.identity.action import CONTAINER, Recipe
from tapeout.graph.identity.digest import digest_bytes, digest_file
from tapeout.graph.identity.environment import PYTHON
from tapeout.graph.layer import Layer
from tapeout.provenance import rocrate, slsa
from tapeout.provenance.checking import check_export
from tapeout.provenance.closure import Closure, check_vouched, closure
from tapeout.provenance.code import configuration, project_files
from tapeout.provenance.document import ARTIFACTS, CODE, NAME, Document, File, Format, Image, Locked, Source
from tapeout.provenance.errors import ExportRefused
from tapeout.provenance.folder import creating, digests, write_sums
from tapeout.provenance.rebuild import rehearse
from tapeout.provenance.secrets import check_file, check_value, private
from tapeout.provenance.signing import PrivateKey, envelope


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        target: name of the artifact.
        run: named run that contains the artifact; None for ``results/``.
        formats: additional formats.
        signer: key for the statements of ``slsa``; None leaves them unsigned.
        with_artifacts: include the files of every artifact, not only those of the target.
        also: additional files and folders of the project, which no rule or import names.
        date: publication date in ISO format, required for ``rocrate``. The clock is not used, so that equal results
            give equal exports.
    """

    target: str
    run: str | None = None
    formats: frozenset[Format] = frozenset()
    signer: PrivateKey | None = None
    with_artifacts: bool = False
    also: tuple[str, ...] = ()
    date: str = ""


def export(layer: Layer, options: ExportOptions, output: Path) -> Document:
    """Write an export to ``output``, a new folder or ``.tar`` archive. Equal results and options give equal bytes.

    Raises:
        ExportRefused: the current code and configuration did not build the target, the project reads a file outside
            its folder, the included files are not enough to run the graph, a file is damaged, only the store vouches
            for an artifact that would be signed, the export would contain a password, a token or a local path, or
            ``output`` exists.
    """
    recipes = layer.recipes([options.target])
    built = closure(layer.workspace, recipes, options.target, options.run)
    if options.signer is not None:
        check_vouched(built)
    given, resolved, generated = configuration(layer)
    check_value(given, "configuration")
    for name, action in built.actions.items():
        check_value(action.value, f"action of {name}")
    with creating(output) as folder:
        for path in project_files(layer, recipes, options.also):
            _copy(layer.root / path, folder / CODE / path)
        for path, data in generated.items():
            _write(folder / CODE / path, data)
        document = Document(
            target=options.target,
            artifacts=[manifest.as_json() for manifest in built.manifests.values()],
            actions={action.digest: action.value for action in built.actions.values()},
            sources=_sources(built),
            environments=_environments(layer, built, folder),
            images=_images(layer, recipes),
            python=PYTHON,
            machine=f"{sys.platform}-{platform.machine()}",
            configuration=given,
            resolved=resolved,
            code=_files(folder / CODE),
            carried=sorted(built.manifests) if options.with_artifacts else [options.target],
        )
        rehearse(folder / CODE, document, layer.workspace.store.root)
        for name in document.carried:
            _include(built, name, folder / ARTIFACTS)
        _write(folder / NAME, document.encode())
        _add_formats(document, options, folder)
        write_sums(folder)
        check_export(folder, options.signer.public_key if options.signer else None)  # as the recipient does
        secrets = private(layer.root)
        for name in digests(folder):
            check_file(folder / name, name, secrets)
    return document


def _add_formats(document: Document, options: ExportOptions, folder: Path) -> None:
    if Format.ROCRATE in options.formats:
        _write(folder / rocrate.NAME, rocrate.metadata(document, options.date, digest_bytes(document.encode())))
    if Format.SLSA in options.formats:
        for name, statement in slsa.of_actions(document).items():
            _write(folder / name, envelope(statement, options.signer))
        _write(folder / slsa.WHOLE, envelope(slsa.of_export(document, digests(folder)), options.signer))


def _sources(built: Closure) -> list[Source]:
    """Return the sources: the artifacts whose parameters are the record of a source."""
    sources = []
    for name, action in built.actions.items():
        with contextlib.suppress(ValidationError):
            record = Fetch.model_validate(action.value["params"]).record
            given = action.value["params"]["record"]
            sources.append(Source(artifact=name, record=given, origin=record.origin, licence=record.licence))
    return sources


def _environments(layer: Layer, built: Closure, folder: Path) -> list[Locked]:
    names = sorted({action.value["environment"]["name"] for action in built.actions.values()} - {CONTAINER})
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


def _include(built: Closure, name: str, folder: Path) -> None:
    """Copy the files of an artifact and compare the copies with its manifest."""
    manifest = built.manifests[name]
    for entry in manifest.entries:
        target = folder / name / entry.path if entry.path else folder / name
        source = built.file(manifest, entry)
        if source.is_file():
            _copy(source, target)
        if not target.is_file() or digest_file(target) != entry.digest:
            raise ExportRefused(
                f"The file {entry.path or name} of {name} is missing or damaged.", "Run: tapeout verify --deep --repair"
            )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
