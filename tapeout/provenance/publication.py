"""Check an artifact's folder for ``tapeout publish``, and record where it was published."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tapeout.config.secrets import USER_IN_URL
from tapeout.errors import TapeoutError
from tapeout.graph.files import link_or_copy, read_json, temporary_path, write_atomically
from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import Workspace
from tapeout.provenance.refuted import REFUTED, refutation
from tapeout.provenance.secrets import check_file, private

HUB = "https://huggingface.co"
CARD, NOTICE = "README.md", "NOTICE"
METADATA = re.compile(r"\A---\n(.*?)^---$", re.DOTALL | re.MULTILINE)
"""Metadata at the beginning of a model card."""
NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
BRANCH = re.compile(r"[A-Za-z0-9_][\w./-]{0,199}", re.ASCII)
CERTIFIED, CERTIFICATE = "export/hf", "export/certificate.json"
RECORDS = ".published"
"""Folder in ``results/`` of the records; it has no manifests, so that neither builds nor the collector see it."""


class InvalidPublication(TapeoutError):
    """An artifact cannot be published as it is, or the name of a repository or branch is not valid."""


class NotCertified(InvalidPublication):
    """Nothing proves that an exported model is the trained and evaluated one."""


@dataclass(frozen=True)
class Destination:
    """Where an artifact is published.

    Attributes:
        endpoint: address of the hub.
        repository: ``owner/name``.
        branch: branch of the repository.
    """

    endpoint: str
    repository: str
    branch: str

    @classmethod
    def of(cls, repository: str, branch: str) -> "Destination":
        """Return the destination on the hub that HF_ENDPOINT names.

        Raises:
            InvalidPublication: a name is not valid.
        """
        endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        if USER_IN_URL.search(endpoint):
            raise InvalidPublication("HF_ENDPOINT contains a user or a password.", "Set the token in HF_TOKEN instead.")
        wrong = any(part in repository for part in ("--", "..")) or repository.endswith((".git", ".", "-"))
        if not NAME.fullmatch(repository) or wrong:
            raise InvalidPublication(
                f"{repository!r} is not the name of a repository.",
                "Write owner/name, with letters, digits and single . _ - between them.",
            )
        if not BRANCH.fullmatch(branch) or ".." in branch or branch.endswith(("/", ".", ".lock")):
            raise InvalidPublication(f"{branch!r} is not the name of a branch.", "Write a name such as main or v1.")
        return cls(endpoint, repository, branch)


@contextmanager
def snapshot(workspace: Workspace, artifact: str) -> Iterator[Path]:
    """Return a folder with hard links to the files of an artifact, while the context is active.

    A build may replace the artifact meanwhile; the snapshot keeps its files. ``tapeout gc`` deletes one of a program
    that was killed.

    Raises:
        InvalidPublication: the artifact changes just now.
    """
    (workspace.results / RECORDS).mkdir(parents=True, exist_ok=True)
    folder = temporary_path(workspace.results / RECORDS / "snapshot")
    try:
        try:
            shutil.copytree(workspace.artifact_path(artifact), folder, copy_function=_link)
        except (FileNotFoundError, shutil.Error) as error:
            raise InvalidPublication(
                f"The files of {artifact} were deleted or replaced while they were read.",
                f"Wait for the end of a build, or run: snakemake {artifact}",
            ) from error
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))


def published_manifest(workspace: Workspace, artifact: str) -> Manifest:
    """Return the manifest of an artifact that can be published.

    Raises:
        InvalidPublication: it was not built, is no folder, or is known to be not reproducible.
    """
    manifest = workspace.manifest(artifact)
    if manifest is None:
        raise InvalidPublication(f"{artifact} was not built yet.", f"Run: snakemake {artifact}")
    if manifest.kind != "folder":
        raise InvalidPublication(
            f"{artifact} is a single file, not a folder with a model card.", "Publish a folder such as export/hf."
        )
    if cause := refutation(workspace, manifest):
        raise InvalidPublication(cause, REFUTED.format(name=artifact))
    return manifest


def check_files(manifest: Manifest, folder: Path) -> None:
    """Read every file of an artifact in its folder, or in a snapshot of it.

    Raises:
        InvalidPublication: its bytes are not those of its manifest.
        ExportRefused: a file contains the value of a secret variable or a private folder.
    """
    if not folder.is_dir() or Manifest.of(folder, manifest.artifact, manifest.action) != manifest:
        raise InvalidPublication(
            f"The files of {manifest.artifact} are not those that were built.",
            "Run: tapeout verify --deep --repair, or wait for the end of a build that replaces them.",
        )
    secrets = private(Path.cwd())
    for entry in manifest.entries:
        check_file(folder / entry.path, entry.path, secrets)


def certification(workspace: Workspace, manifest: Manifest) -> str:
    """Return a sentence about the certificate of the files that are published; only ``export/hf`` has one.

    Raises:
        NotCertified: there is no certificate, or it is about other files.
    """
    if manifest.artifact != CERTIFIED:
        return f"Certificate: none, only {CERTIFIED} has one."
    known = workspace.manifest(CERTIFICATE)
    path = workspace.artifact_path(CERTIFICATE)
    if known is None or not path.is_file() or Manifest.of(path, CERTIFICATE, known.action) != known:
        raise NotCertified(f"{CERTIFIED} has no certificate.", f"Run: snakemake {CERTIFICATE}")
    content = read_json(path)
    if content["files"] != {entry.path: entry.digest for entry in manifest.entries}:
        raise NotCertified(f"{CERTIFICATE} is about other files of {CERTIFIED}.", f"Run: snakemake {CERTIFICATE}")
    counts = content["answers"]
    answers = "no answers were compared" if counts is None else f"{counts['equal']} answers are the evaluated ones"
    ties = f", {counts['tie']} differ at a tie" if counts is not None and counts["tie"] else ""
    return f"Certificate: {CERTIFICATE} is about these files; {answers}{ties}."


def licence_of(folder: Path, artifact: str) -> str:
    """Return the licence that the model card states.

    Raises:
        InvalidPublication: there is no NOTICE or no model card, or the card states no licence.
    """
    for name in (CARD, NOTICE):
        if not (folder / name).is_file():
            raise InvalidPublication(f"{artifact} has no {name}.", "Publish a folder that has one, such as export/hf.")
    found = METADATA.match((folder / CARD).read_text(encoding="utf-8"))
    try:
        metadata = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError as error:
        raise InvalidPublication(f"The metadata of {CARD} is not YAML.", f"Build {artifact} again.") from error
    stated: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
    licence = stated.get("license")
    if not licence:
        raise InvalidPublication(
            f"The model card of {artifact} states no licence.",
            "Set export.licence to the licence under which you release the model, and build again.",
        )
    return str(stated.get("license_name", licence) if licence == "other" else licence)


def record_path(workspace: Workspace, artifact: str, to: Destination) -> Path:
    """Return the path of the record of a publication."""
    return workspace.results / RECORDS / artifact / to.repository / f"{quote(to.branch, safe='')}.json"


def read_record(workspace: Workspace, artifact: str, to: Destination) -> dict[str, Any] | None:
    """Return the record of the last publication of an artifact to a branch; None if there is none."""
    try:
        record = read_json(record_path(workspace, artifact, to))
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("endpoint") == to.endpoint else None


def write_record(workspace: Workspace, manifest: Manifest, to: Destination, commit: str) -> dict[str, Any]:
    """Write and return the record of a publication: the same publication gives the same bytes."""
    record = publication(manifest, to, commit)
    path = record_path(workspace, manifest.artifact, to)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, canonical(record) + b"\n")
    return record


def publication(manifest: Manifest, to: Destination, commit: str | None) -> dict[str, Any]:
    """Return what is published and where, as JSON values.

    Args:
        manifest: the artifact.
        to: the destination.
        commit: the commit; None if it was not published.
    """
    return {
        "endpoint": to.endpoint,
        "repository": to.repository,
        "branch": to.branch,
        "commit": commit,
        "artifact": manifest.artifact,
        "digest": manifest.digest(),
        "files": [{"path": entry.path, "size": entry.size, "sha256": entry.digest} for entry in manifest.entries],
    }
