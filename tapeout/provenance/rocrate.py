"""``ro-crate-metadata.json``: the export as a Workflow Run RO-Crate, for programs other than Tapeout.

Files of the export are data entities; an artifact whose files are not included is described by its digest.
Specification: https://www.researchobject.org/workflow-run-crate.
"""

import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.manifest import Manifest
from tapeout.provenance.document import ARTIFACTS, CODE, Document, Source
from tapeout.provenance.document import NAME as DOCUMENT

NAME = "ro-crate-metadata.json"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
RO_CRATE, WORKFLOW_CRATE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
WORKFLOW = f"{CODE}/Snakefile"
SNAKEMAKE = "https://snakemake.github.io"
FORMATS = {
    **{".html": "text/html", ".json": "application/json", ".jsonl": "application/jsonl", ".md": "text/markdown"},
    **{".py": "text/x-python", ".svg": "image/svg+xml", ".toml": "application/toml", ".yaml": "application/yaml"},
}
"""Media types by suffix; other files of the code are plain text."""

Entity = dict[str, Any]


def metadata(document: Document, date: str, document_digest: str) -> bytes:
    """Return the content of the metadata file; RO-Crate requires ``date``, when it was published, in ISO 8601."""
    entities = [
        *_files(document, document_digest),
        *(entity for name in document.manifests for entity in _artifact(document, name)),
        *(_source(source) for source in document.sources),
        *(entity for name in document.manifests for entity in _action(document, name)),
        _whole_run(document),
        {"@id": SNAKEMAKE, "@type": "ComputerLanguage", "name": "Snakemake", "url": SNAKEMAKE},
        *(
            {"@id": f"#image/{image.digest}", "@type": "SoftwareApplication", "name": image.image}
            for image in document.images
        ),
        *(
            {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
            for profile, (name, version) in PROFILES.items()
        ),
        _licences(document),
    ]
    graph = [_descriptor(), _root(document, date, entities), *entities]
    return canonical({"@context": CONTEXT, "@graph": graph}) + b"\n"


def _reference(*names: str) -> Entity | list[Entity]:
    references = [{"@id": name} for name in names]
    return references[0] if len(references) == 1 else references


def _format(path: str, other: str) -> str:
    return FORMATS.get(PurePosixPath(path).suffix, other)


def _descriptor() -> Entity:
    return {
        "@id": NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": _reference(RO_CRATE, WORKFLOW_CRATE),
    }


def _root(document: Document, date: str, entities: list[Entity]) -> Entity:
    inside = (f"{CODE}/", f"{ARTIFACTS}/", DOCUMENT)
    files = [entity["@id"] for entity in entities if entity["@id"].startswith(inside)]
    nested = {part["@id"] for entity in entities for part in _listed(entity.get("hasPart", []))}
    actions = [entity["@id"] for entity in entities if entity["@type"] == "CreateAction"]
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Provenance of {document.target}",
        "description": f"The complete build of {document.target}: sources, code, environments, parameters, and the "
        "digest of every file. The command tapeout reproduce builds it again from this.",
        "datePublished": date,
        "license": {"@id": "#licences"},
        "conformsTo": _reference(*PROFILES),
        "mainEntity": {"@id": WORKFLOW},
        "hasPart": _reference(*(name for name in files if name not in nested)),
        "mentions": _reference(*actions),
    }


def _listed(value: Entity | list[Entity]) -> list[Entity]:
    return value if isinstance(value, list) else [value]


def _files(document: Document, document_digest: str) -> list[Entity]:
    """Return entities of the document and the code; the program of a step also names its environment."""
    environments = {locked.digest: quote(f"{CODE}/{locked.lock}") for locked in document.environments}
    environments |= {image.digest: f"#image/{image.digest}" for image in document.images}
    steps = [document.step(name) for name in document.manifests]
    programs = {step.script: environments[step.environment["digest"]] for step in steps}
    size = str(len(document.encode()))
    entities: list[Entity] = [
        {
            "@id": DOCUMENT,
            "@type": "File",
            "name": DOCUMENT,
            "encodingFormat": "application/json",
            "contentSize": size,
            "sha256": document_digest,
        }
    ]
    for file in document.code:
        entity: Entity = {"@id": quote(f"{CODE}/{file.path}"), "@type": "File", "name": file.path}
        entity |= {"encodingFormat": _format(file.path, "text/plain")}
        entity |= {"sha256": file.sha256, "contentSize": str(file.size)}
        if file.path in programs:
            entity["@type"] = ["File", "SoftwareSourceCode"]
            entity["version"] = file.sha256[:16]
            entity["softwareRequirements"] = {"@id": programs[file.path]}
        if entity["@id"] == WORKFLOW:
            entity["@type"] = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
            entity["version"] = file.sha256[:16]
            entity["programmingLanguage"] = {"@id": SNAKEMAKE}
        entities.append(entity)
    return entities


def _artifact_id(document: Document, name: str) -> str:
    """Return the identifier of an artifact: the path of its files, or a name if they are not included."""
    if name not in document.carried:
        return quote(f"#artifact/{name}", safe="/#")
    return quote(f"{ARTIFACTS}/{name}") + ("/" if document.manifests[name].kind == "folder" else "")


def _artifact(document: Document, name: str) -> list[Entity]:
    manifest = document.manifests[name]
    about: Entity = {"@id": _artifact_id(document, name), "name": name, "contentSize": str(manifest.size)}
    if name not in document.carried:
        return [about | {"@type": "CreativeWork", "identifier": f"{_digest_kind(manifest)}:{manifest.digest()}"}]
    if manifest.kind == "file":
        media = _format(name, "application/octet-stream")
        return [about | {"@type": "File", "encodingFormat": media, "sha256": manifest.entries[0].digest}]
    files = [
        {
            "@id": about["@id"] + quote(entry.path),
            "@type": "File",
            "name": entry.path,
            "encodingFormat": _format(entry.path, "application/octet-stream"),
            "contentSize": str(entry.size),
            "sha256": entry.digest,
        }
        for entry in manifest.entries
    ]
    del about["contentSize"]
    return [about | {"@type": "Dataset", "hasPart": _reference(*(file["@id"] for file in files))}, *files]


def _digest_kind(manifest: Manifest) -> str:
    plain = manifest.kind == "file" and not manifest.entries[0].executable
    return "sha256" if plain else "sha256-of-listing"


def _source(source: Source) -> Entity:
    files = source.record.get("files") or [{"path": source.record.get("file", "")}]
    return {
        "@id": f"#source/{source.artifact}",
        "@type": "CreativeWork",
        "name": source.artifact,
        "description": source.origin,
        "license": source.licence,
        "url": source.address(files[0]["path"]),
    }


def _action(document: Document, name: str) -> list[Entity]:
    """Return the run of one program, and its parameters."""
    step = document.step(name)
    parameters = [
        {
            "@id": quote(f"#parameter/{name}/{key}", safe="/#"),
            "@type": "PropertyValue",
            "name": key,
            "value": json.dumps(value, sort_keys=True, ensure_ascii=False),
        }
        for key, value in sorted(step.params.items())
    ]
    sources = [f"#source/{source.artifact}" for source in document.sources if source.artifact == name]
    inputs = sorted({_artifact_id(document, item.artifact) for _, item in step.each_input()})
    action = {
        "@id": f"#action/{document.manifests[name].action}",
        "@type": "CreateAction",
        "name": f"build {name}",
        "description": f"{step.script} built {name} in the environment {step.environment['name']}.",
        "instrument": {"@id": quote(f"{CODE}/{step.script}")},
        "object": _reference(*sources, *inputs, *(parameter["@id"] for parameter in parameters)),
        "result": _reference(_artifact_id(document, name)),
    }
    return [action, *parameters]


def _whole_run(document: Document) -> Entity:
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"build {document.target} and everything upstream of it",
        "description": f"Snakemake built {document.target} and everything upstream of it from the sources.",
        "instrument": {"@id": WORKFLOW},
        "object": _reference(*(f"#source/{source.artifact}" for source in document.sources)),
        "result": _reference(_artifact_id(document, document.target)),
    }


def _licences(document: Document) -> Entity:
    licences = "; ".join(f"{source.artifact}: {source.licence}" for source in document.sources)
    return {
        "@id": "#licences",
        "@type": "CreativeWork",
        "name": "The licences of the parts",
        "description": "The code is under the licence in code/LICENSE, if there is one. Sources: "
        + (licences or "none"),
    }
