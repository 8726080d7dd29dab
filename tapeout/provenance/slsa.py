"""In-toto statements with SLSA provenance v1: one per action, and one for the export as a whole.

All are derived from the document alone, so that its receiver can compute them, byte for byte. They state what was
built, from what, and how, without times, invocations and hosts. Formats: https://in-toto.io/Statement/v1 and
https://slsa.dev/provenance/v1.
"""

from typing import Any
from urllib.parse import quote

from tapeout.graph.identity.manifest import Manifest
from tapeout.provenance.document import CODE, Document, Source

FOLDER = "attestations"
WHOLE = f"{FOLDER}/export.dsse.json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
ACTION_TYPE, EXPORT_TYPE, BUILDER = "urn:tapeout:action:v1", "urn:tapeout:export:v1", "urn:tapeout:graph:v1"
FOLDER_DIGEST = "tapeoutFolder"
"""Digest of a folder: SHA-256 of the canonical JSON of [[path, executable, size, SHA-256], ...] of its files."""
SYNTAX_DIGEST = "tapeoutSyntaxTree"
"""Digest of a module in an action: over its syntax tree without comments, docstrings and formatting."""


def path_of(artifact: str) -> str:
    """Return the path of the statement about an artifact's action."""
    return f"{FOLDER}/artifacts/{artifact}.dsse.json"


def of_actions(document: Document) -> dict[str, dict[str, Any]]:
    """Return the statements about all actions, by path in the export."""
    return {path_of(name): _of_action(document, name) for name in document.manifests}


def of_export(document: Document, files: dict[str, str]) -> dict[str, Any]:
    """Return the statement about the export, whose subjects are its files.

    ``files`` has the SHA-256 of all files except this statement and ``SHA256SUMS``, by path.
    """
    definition = {
        "buildType": EXPORT_TYPE,
        "externalParameters": {"artifact": document.target, "configuration": document.configuration},
        "internalParameters": {"action": document.manifests[document.target].action, "carried": document.carried},
        "resolvedDependencies": [
            *(item for source in document.sources for item in _pinned(document, source)),
            *_locks(document, [locked.name for locked in document.environments]),
            *_images(document, [image.digest for image in document.images]),
        ],
    }
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(files.items())]
    return _statement(subjects, definition)


def _of_action(document: Document, name: str) -> dict[str, Any]:
    manifest, step = document.manifests[name], document.step(name)
    code = {file.path: file.sha256 for file in document.code}
    definition = {
        "buildType": ACTION_TYPE,
        "externalParameters": {"artifact": name, "script": step.script, "params": step.params},
        "internalParameters": {"action": manifest.action, "environment": step.environment, "schema": step.schema_},
        "resolvedDependencies": [
            *(
                {
                    "name": f"input {label}",
                    "uri": f"urn:tapeout:artifact:{item.artifact}" + (f"#{item.path}" if item.path else ""),
                    "digest": {_kind(document.manifests[item.artifact], item.path): item.digest},
                }
                for label, item in step.each_input()
            ),
            *(item for source in document.sources if source.artifact == name for item in _pinned(document, source)),
            *(
                {"name": f"{CODE}/{path}", "digest": {"sha256": code[path]}, "annotations": {SYNTAX_DIGEST: digest}}
                for path, digest in sorted(step.code.items())
            ),
            *_locks(document, [step.environment["name"]]),
            *_images(document, [step.environment["digest"]]),
        ],
    }
    subjects = [
        {"name": f"{name}/{entry.path}" if entry.path else name, "digest": {"sha256": entry.digest}}
        for entry in manifest.entries
    ]
    return _statement(subjects, definition)


def _statement(subjects: list[dict[str, Any]], definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {"buildDefinition": definition, "runDetails": {"builder": {"id": BUILDER}}},
    }


def _kind(manifest: Manifest, path: str) -> str:
    """Return the kind of digest that an action has of an artifact, or of ``path`` in it."""
    plain = any(entry.path == path and not entry.executable for entry in manifest.entries)
    return "sha256" if plain else FOLDER_DIGEST


def _pinned(document: Document, source: Source) -> list[dict[str, Any]]:
    """Return the files of a source with their public addresses."""
    return [
        {
            "name": entry.path,
            "uri": source.address(entry.path),
            "digest": {"sha256": entry.digest},
            "annotations": {"licence": source.licence, "origin": source.origin},
        }
        for entry in document.manifests[source.artifact].entries
    ]


def _locks(document: Document, names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{CODE}/{locked.lock}",
            "digest": {"sha256": locked.sha256},
            "annotations": {"environment": locked.name, "identity": locked.digest},
        }
        for locked in document.environments
        if locked.name in names
    ]


def _images(document: Document, digests: list[str]) -> list[dict[str, Any]]:
    """Return container images as package URLs."""
    return [
        {
            "name": image.repository,
            "uri": f"pkg:oci/{image.repository.rpartition('/')[2]}@sha256%3A{image.digest}"
            f"?repository_url={quote(image.repository, safe='/:')}",
            "digest": {"sha256": image.digest},
        }
        for image in document.images
        if image.digest in digests
    ]
