"""In-toto statements with SLSA provenance v1: one for each action, and one for the export as a whole.

All are derived from the document alone, so that whoever has it can say what they must be, byte for byte. No times, no
invocation, no host: what was built, from what, and how.
"""

from typing import Any
from urllib.parse import quote

from in_toto_attestation.v1.statement import STATEMENT_TYPE_URI

from tapeout.graph.identity.manifest import Manifest
from tapeout.provenance.document import CODE, Document, Source

FOLDER = "attestations"
WHOLE = f"{FOLDER}/export.dsse.json"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
ACTION_TYPE, EXPORT_TYPE, BUILDER = "urn:tapeout:action:v1", "urn:tapeout:export:v1", "urn:tapeout:graph:v1"
FOLDER_DIGEST = "tapeoutFolder"
"""Digest of a folder: SHA-256 of the canonical JSON of [[path, executable, size, SHA-256], ...] of its files."""
SYNTAX_DIGEST = "tapeoutSyntaxTree"
"""Digest of a module as its action has it: over the syntax tree without comments, docstrings and formatting."""


def path_of(artifact: str) -> str:
    """Where the statement about an artifact's action lies in the export."""
    return f"{FOLDER}/artifacts/{artifact}.dsse.json"


def of_actions(document: Document) -> dict[str, dict[str, Any]]:
    """The statement about each action, by its path in the export."""
    return {path_of(name): _of_action(document, name) for name in document.manifests}


def of_export(document: Document, files: dict[str, str]) -> dict[str, Any]:
    """The statement about the whole: its subjects are the files of the export.

    Args:
        document: what is exported.
        files: SHA-256 by path, of all files but this statement's and the list of sums.
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
                    "name": f"input {known_as}",
                    "uri": f"urn:tapeout:artifact:{item.artifact}" + (f"#{item.path}" if item.path else ""),
                    "digest": {_kind(document.manifests[item.artifact], item.path): item.digest},
                }
                for known_as, item in step.each_input()
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
        "_type": STATEMENT_TYPE_URI,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {"buildDefinition": definition, "runDetails": {"builder": {"id": BUILDER}}},
    }


def _kind(manifest: Manifest, path: str) -> str:
    """The name of the digest that an action has of an artifact, or of what lies at ``path`` in it."""
    one_file = manifest.kind == "file" or path in {entry.path for entry in manifest.entries}
    return "sha256" if one_file else FOLDER_DIGEST


def _pinned(document: Document, source: Source) -> list[dict[str, Any]]:
    """The files of a source, under the address that people know."""
    return [
        {
            "name": entry.path,
            "uri": address(source.record, entry.path),
            "digest": {"sha256": entry.digest},
            "annotations": {"licence": source.licence, "origin": source.origin},
        }
        for entry in document.manifests[source.artifact].entries
    ]


def address(record: dict[str, Any], file: str) -> str:
    """The address of a file of a source: a package URL (purl), an http address, or a name."""
    if record["kind"] == "pypi":
        name = str(record["package"]).lower().replace("_", "-")
        return f"pkg:pypi/{name}@{record['version']}?file_name={file}"
    if record["kind"] == "file":
        return f"urn:tapeout:code:{record['path']}"
    if record["kind"] == "folder":
        return f"urn:tapeout:code:{record['path']}/{file}"
    if record["kind"] == "url":
        return str(record["url"])
    kind = {"hf_model": "", "hf_dataset": "datasets/"}[record["kind"]]
    return f"https://huggingface.co/{kind}{record['repository']}/resolve/{record['revision']}/{file}"


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
    """Container images, as package URLs."""
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
